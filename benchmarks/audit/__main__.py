"""`python -m benchmarks.audit`."""

from benchmarks.audit.command import main

if __name__ == "__main__":
    main()
