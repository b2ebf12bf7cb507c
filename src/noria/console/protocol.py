"""What programs and the server agree on."""

# Said with every answer (`Noria-Api`); another number where an older program would not understand the answers.
API_VERSION = "1"
