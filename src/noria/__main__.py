"""`python -m noria` is the `noria` command."""

from noria.cli.main import main

if __name__ == "__main__":
    main()
