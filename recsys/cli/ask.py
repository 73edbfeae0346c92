"""`recsys recommend | personas | memory`: what a run's model says of one user, and keeps."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.answers.lists import recommend_many
from recsys.cli.arguments import (
    Commands,
    add_command,
    add_engine,
    add_json,
    add_length,
    add_moment,
    add_run,
    of_run,
    picture,
)
from recsys.cli.render import print_json, print_personas, print_recommendations, print_shelves, say
from recsys.errors import ConfigError


def add_recommend(commands: Commands) -> None:
    """Add `recommend` to the commands of a parser."""
    parser = add_command(
        commands,
        "recommend",
        _recommend,
        "explained recommendations for one user, or for everybody in a file",
        "With --all or --users the lists\n"
        "are written to --out. Parts are kept when it is interrupted: the same command goes on from there.",
    )
    add_run(parser)
    user = parser.add_mutually_exclusive_group(required=True)
    user.add_argument("--user", help="id of a user of the log")
    user.add_argument("--history", type=Path, help="file with somebody's items: ids one to a line, CSV or JSON")
    user.add_argument("--summary", type=Path, help="file with a text about somebody, of whom nothing else is known")
    user.add_argument("--all", action="store_true", help="all users of the log, into a file: --out")
    user.add_argument(
        "--users",
        type=Path,
        metavar="FILE",
        help="these users, into a file: ids one to a line, or a file of any format with a column of users",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="of --all and --users: .parquet, .csv or .jsonl")
    parser.add_argument(
        "--explain",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="--no-explain: without reasons, of --all and --users, which is several times as fast",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the file of --out")
    add_engine(parser, "parts of --all and --users")
    add_length(parser, "how many")
    parser.add_argument(
        "--mute",
        action="append",
        default=[],
        metavar="PERSONA",
        help="list nothing of this persona and let none of its events count: its name, or its number in `recsys "
        "personas`; may be repeated",
    )
    parser.add_argument(
        "--boost", action="append", default=[], metavar="PERSONA", help="twice the seats for it; may be repeated"
    )
    parser.add_argument(
        "--visit",
        action="store_true",
        help="more like what the user did in the visit that is going on (12 hours without an event end it), and "
        "nothing of the usual list",
    )
    parser.add_argument(
        "--new-items",
        type=Path,
        metavar="FILE",
        help="items since training, with titles and genres: the model lists those that it does not have, without "
        "training again",
    )
    parser.add_argument(
        "--item-vectors", type=Path, metavar="FILE", help="a vector for each row of --new-items: .npy or .safetensors"
    )
    parser.add_argument("--only-new", action="store_true", help="list only items that training did not know")
    parser.add_argument("--exact", action="store_true", help="score every item, also where the run has an index")
    add_moment(parser)
    add_json(parser)


def add_personas(commands: Commands) -> None:
    """Add `personas` to the commands of a parser."""
    parser = add_command(commands, "personas", _personas, "show a user's personas")
    add_run(parser)
    parser.add_argument("--user", required=True, help="id of a user of the log")
    parser.add_argument(
        "--picture", type=picture, metavar="FILE", help="draw how active each persona was over time: .png, .svg or .pdf"
    )
    add_moment(parser)
    add_json(parser)


def _recommend(options: argparse.Namespace) -> None:
    if options.all or options.users is not None:
        if options.new_items is not None or options.item_vectors is not None or options.only_new:
            raise ConfigError(
                "--new-items, --item-vectors and --only-new are for one user; leave them out, or train again"
            )
        recommend_many(options)
        return
    many = options.out is not None or not options.explain or options.overwrite
    if many or options.engine != "local" or options.workers is not None:
        raise ConfigError(
            "--out, --no-explain, --overwrite, --engine and --workers are for --all and --users; leave them out for "
            "one user"
        )
    if options.summary is not None:
        _recommend_text(options)
        return
    from recsys.experiments import questions
    from recsys.experiments.controls import Controls

    listed = questions.recommend(
        options.run,
        user=options.user,
        history=options.history,
        n=options.n,
        at=options.at,
        exact=options.exact,
        controls=Controls(tuple(options.mute), tuple(options.boost), options.visit),
        new_items=questions.NewItems(options.new_items, options.item_vectors, options.only_new),
        **of_run(options),
    )
    if not listed.items and options.visit:
        say("no visit is going on at that moment, or all that goes with it is listed; ask of one with --at")
    elif not listed.items:
        say("nothing is left to recommend: every item that the model knows is in the history already")
    if options.json:
        print_json(listed.items)
    elif listed.shelves:
        print_shelves(listed.items, listed.shelves)
    else:
        print_recommendations(listed.items)


def _recommend_text(options: argparse.Namespace) -> None:
    from recsys.experiments.kept.memories import recommend_text

    if options.mute or options.boost or options.visit or options.at is not None:
        raise ConfigError("a text has no personas, visits or events; leave out --mute, --boost, --visit and --at")
    if options.new_items is not None or options.item_vectors is not None or options.only_new:
        raise ConfigError(
            "a text names titles that the model knows; leave out --new-items, --item-vectors and --only-new"
        )
    items = recommend_text(options.run, options.summary, options.n, options.allow_model)
    if not any(item.get("evidence") for item in items):
        say("the text names no titles; what is popular is recommended, as far as the text allows")
    if options.json:
        print_json(items)
    else:
        print_recommendations(items)


def _personas(options: argparse.Namespace) -> None:
    from recsys.experiments import questions

    personas = questions.personas(
        options.run,
        options.user,
        at=options.at,
        **of_run(options),
    )
    if options.json:
        print_json(personas)
    else:
        print_personas(personas)
    if options.picture is not None:
        from recsys.pictures import draw_activity

        activity = {str(persona["name"]): persona["activity"]["values"] for persona in personas}
        first = personas[0]["activity"]
        dates, title = first["clock"] == "seconds", f"personas of user {options.user}"
        say(f"picture: {draw_activity(options.picture, first['times'], activity, dates=dates, title=title)}")


def add_memory(commands: Commands) -> None:
    """Add `memory` to the commands of a parser."""
    parser = add_command(commands, "memory", _memory, "what is kept of a user in a few bytes, and in words")
    add_run(parser)
    parser.add_argument("--user", required=True, help="id of a user of the log")
    parser.add_argument(
        "--bytes",
        type=int,
        default=24,
        metavar="N",
        help="how much is kept; a title takes three (default: %(default)s)",
    )
    add_moment(parser)
    add_json(parser)


def _memory(options: argparse.Namespace) -> None:
    from recsys.experiments.kept.memories import memory

    told = memory(
        options.run,
        options.user,
        capacity=options.bytes,
        at=options.at,
        **of_run(options),
    )
    if options.json:
        print_json(told)
        return
    print(told["text"] or "Nothing is known of this user: what is popular is recommended.")
    print()
    seen = told["bytes_of_what_is_seen"]
    print(
        f"{told['bytes']} bytes for {told['events']} events: the titles below, with weights; "
        f"which titles not to list again takes {seen} more"
    )
    for one in told["titles"]:
        print(f"  {one['weight']:5.3f}  {one['title']}")
