"""`recsys recommend | personas`: what a run's model says of one user."""

from __future__ import annotations

import argparse
from pathlib import Path

from recsys.cli.arguments import Commands, add_command, add_json, add_length, add_moment, add_run, picture
from recsys.cli.render import print_json, print_personas, print_recommendations, print_shelves, say


def add_recommend(commands: Commands) -> None:
    """Add `recommend` to the commands of a parser."""
    parser = add_command(commands, "recommend", _recommend, "explained recommendations for one user")
    add_run(parser)
    user = parser.add_mutually_exclusive_group(required=True)
    user.add_argument("--user", help="id of a user of the log")
    user.add_argument("--history", type=Path, help="file with somebody's items: ids one to a line, CSV or JSON")
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
    from recsys.experiments import questions

    listed = questions.recommend(
        options.run,
        user=options.user,
        history=options.history,
        n=options.n,
        at=options.at,
        source=options.data,
        columns=dict(options.columns),
        exact=options.exact,
        allow=options.allow_model,
        mute=options.mute,
        boost=options.boost,
        visit=options.visit,
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


def _personas(options: argparse.Namespace) -> None:
    from recsys.experiments import questions

    personas = questions.personas(
        options.run,
        options.user,
        at=options.at,
        source=options.data,
        columns=dict(options.columns),
        allow=options.allow_model,
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
