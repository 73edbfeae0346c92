"""`python -m recsys` is the command `recsys`."""

from recsys.cli.main import main

raise SystemExit(main())
