"""The `noria` command."""
