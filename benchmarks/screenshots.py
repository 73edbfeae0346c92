"""`python -m benchmarks.screenshots`: see `benchmarks.serving.screenshots`."""

from benchmarks.serving.screenshots import main

if __name__ == "__main__":
    raise SystemExit(main())
