"""`python -m postdate` is the command line, `postdate`."""

from postdate.cli.app import main

if __name__ == "__main__":
    main()
