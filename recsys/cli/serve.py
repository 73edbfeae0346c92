"""`recsys serve`: a run as an HTTP service."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_run, duration, finite, whole
from recsys.cli.events import add_store
from recsys.cli.render import program
from recsys.errors import ConfigError
from recsys.serving.access import Limits


def add(commands: Commands) -> None:
    """Add `serve` to the commands of a parser."""
    parser = add_command(commands, "serve", _serve, "answer over HTTP: events in, explained recommendations out")
    add_run(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument(
        "--port", type=whole(0, 65_535), default=8000, help="port; 0: any that is free (default: %(default)s)"
    )
    add_store(parser, default=" (default: RUN.events.db, beside the run)")
    parser.add_argument("--exact", action="store_true", help="score every item, also where the run has an index")
    parser.add_argument(
        "--workers",
        type=whole(1, 1024),
        default=1,
        help="processes that answer, each with the model in memory; they share the store (default: %(default)s)",
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="norms that bind every list")
    parser.add_argument(
        "--attributes", type=Path, metavar="FILE", help="CSV or Parquet: item ids, then facts that the policy asks for"
    )
    parser.add_argument("--ledger", type=Path, metavar="DIR", help="record each decision under the policy, for audits")
    parser.add_argument("--repeat", action="store_true", help="lists may have items of the history again")
    parser.add_argument(
        "--cors", nargs="+", default=[], metavar="ORIGIN", help="web pages that may ask, such as https://shop.example"
    )
    parser.add_argument("--beside", type=Path, metavar="RUN", help="a second run, which answers a share of the users")
    parser.add_argument(
        "--share", type=finite, default=0.5, help="of users whom --beside answers, 0 to 1 (default: %(default)g)"
    )
    parser.add_argument(
        "--split",
        default="beside",
        metavar="NAME",
        help="of the trial; another draws other users",
    )
    parser.add_argument("--no-auth", action="store_true", help="serve without tokens; on a loopback address only")
    parser.add_argument(
        "--rate",
        type=finite,
        default=Limits.rate,
        help="requests per second of one token, or of one address without (default: %(default)g)",
    )
    parser.add_argument(
        "--stale",
        type=duration,
        default=Limits.stale_seconds,
        metavar="TIME",
        help="how old lists of known users may be while the event store does not answer, such as 30s or 5m; 0: none "
        "are given (default: 5m)",
    )
    parser.add_argument(
        "--connections",
        type=int,
        default=Limits.connections,
        help="open connections of one address, except proxies (default: %(default)s)",
    )
    parser.add_argument(
        "--proxy",
        nargs="+",
        default=[],
        metavar="ADDRESS",
        help="addresses or networks of proxies in front, whose X-Forwarded-For tells the address of a client",
    )


def _serve(options: argparse.Namespace) -> None:
    try:
        from recsys.serving.beside import Split
        from recsys.serving.server import Server, default_store
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"serving needs {error.name}, which is not installed; pip install 'recsys[serving]'"
        ) from None
    from recsys.events.addresses import located

    address = options.events or str(default_store(options.run))
    server = Server(
        options.run,
        address,
        host=options.host,
        port=options.port,
        workers=options.workers,
        source=options.data,
        columns=dict(options.columns),
        exact=options.exact,
        limits=Limits(
            rate=options.rate,
            burst=max(1, int(2 * options.rate)),
            connections=options.connections,
            stale_seconds=options.stale,
        ),
        authenticated=not options.no_auth,
        proxies=tuple(options.proxy),
        allow=tuple(options.allow_model),
        policy=options.policy,
        attributes=options.attributes,
        ledger=options.ledger,
        repeats=options.repeat,
        origins=tuple(options.cors),
        beside=options.beside,
        split=Split(options.share, options.split),
    )

    def ready(url: str, has_token: bool) -> None:
        print(f"serving on {url} (stop with Ctrl-C)", flush=True)
        if not (has_token or options.no_auth):
            command = f"{program()} tokens create --events {located(address)} --label NAME"
            print(f"there is no token yet: {command}", flush=True)

    server.run(ready)
