"""What is reached over HTTP: whether all is well, figures, events that systems push."""
