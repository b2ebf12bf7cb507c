"""What the others tell the world: progress."""
