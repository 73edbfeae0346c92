"""`python -m benchmarks.serving_kill`: see `benchmarks.serving.kill`."""

from benchmarks.serving.kill import main

if __name__ == "__main__":
    raise SystemExit(main())
