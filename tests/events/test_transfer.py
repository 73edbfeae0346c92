"""Events out and in again are the same events; a store trains like the file it came from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recsys.cli import events as command
from recsys.cli.arguments import Parser
from recsys.data.feedback import KINDS, Kind, described, kinds_of
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.readers.columns import Columns
from recsys.data.readers.log import read_log
from recsys.data.vocabulary import Vocabulary
from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.memory import MemoryStore
from recsys.events.store import ConflictError, Event, EventStore, Recorded, StoreError
from recsys.events.transfer import Imported, export_events, import_events, interactions_of, log_of, pinned
from recsys.reliability import Responses
from recsys.worlds.simulation import simulated_log

FORMATS = (".csv", ".parquet")

_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=8).filter(
    lambda text: text == text.strip() and text not in (".", "..")
)
_EVENTS = st.lists(
    st.builds(
        Event,
        _TEXT,
        _TEXT,
        _TEXT,
        st.none() | st.floats(-1e9, 1e9),
        st.integers(0, 10**11 - 1),
        st.sampled_from(["use", "view", "click", "buy"]),
        st.none() | _TEXT,
    )
    | st.builds(
        Event,
        _TEXT,
        _TEXT,
        _TEXT,
        st.none(),
        st.integers(0, 10**11 - 1),
        st.sampled_from(["use", "like", "dislike", "skip"]),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda event: event.event_id,
)


def events_of(store: EventStore) -> list[Event]:
    return [change.event for change in store.replay() if isinstance(change, Recorded)]


def _end_of_time() -> float:
    return 1e11


def stored(*events: Event) -> MemoryStore:
    store = MemoryStore()
    store.append(events)
    return store


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=_EVENTS, batch=st.integers(1, 7))
def test_export_and_import_are_exact(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, events: list[Event], batch: int
) -> None:
    path = tmp_path_factory.mktemp("export") / f"events{suffix}"
    assert export_events(stored(*events), path, batch=batch) == len(events)
    again = MemoryStore()
    assert import_events(again, path, batch=batch, clock=_end_of_time) == Imported(len(events), len(events), 0)
    assert events_of(again) == events
    assert import_events(again, path, clock=_end_of_time) == Imported(len(events), 0, len(events))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_store_exports_what_it_took(store: EventStore, tmp_path: Path, suffix: str) -> None:
    events = [Event(f"e{n}", f"u{n % 3}", "17", n / 7, 50 - n) for n in range(30)]
    store.append(events)
    store.erase_user("u1")
    path = tmp_path / f"events{suffix}"
    assert export_events(store, path, batch=4) == 20
    again = MemoryStore()
    import_events(again, path)
    assert events_of(again) == [event for event in events if event.user_id != "u1"]


def test_an_export_ends_where_it_began_and_takes_the_kinds_asked_for(tmp_path: Path) -> None:
    kinds: list[Kind] = ["use", "like", "dislike", "use"]
    store = stored(*(Event(f"e{n}", "ada", "i", None, n, kind) for n, kind in enumerate(kinds)))
    path = tmp_path / "events.csv"
    assert export_events(store, path, kinds=kinds[:1], until=3) == 1
    assert len(path.read_text().splitlines()) == 2


def test_an_export_replaces_nothing_unasked_and_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = stored(Event("e", "ada", "i", 1.0, 5))
    path = tmp_path / "events.csv"
    path.write_text("mine")
    with pytest.raises(DataError, match="is there already; give another name, or replace it with --overwrite"):
        export_events(store, path)
    with pytest.raises(DataError, match=r"neither \.csv nor \.parquet"):
        export_events(store, tmp_path / "events.json")
    with pytest.raises(DataError, match="cannot be written"):
        export_events(store, tmp_path / "missing" / "events.csv")

    def failing(*_: object, **__: object) -> None:
        raise StoreError("gone")

    monkeypatch.setattr(MemoryStore, "since", failing)
    with pytest.raises(StoreError):
        export_events(store, path, overwrite=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["events.csv"]
    assert path.read_text() == "mine"


def _grouplens(folder: Path) -> Path:
    (folder / "ratings.dat").write_text("1::10::4.5::1000\n2::20::3::1001\n")
    return folder / "ratings.dat"


def _milliseconds(folder: Path) -> Path:
    (folder / "log.csv").write_text(
        "\ufeffuserId,movieId,rating,timestamp\r\n1,10,4.5,1000000000000\r\n2,20,3,1000000001000\r\n"
    )
    return folder / "log.csv"


def _zipped_iso(folder: Path) -> Path:
    path = folder / "log.tsv.gz"
    path.write_bytes(gzip.compress(b"item\tuser\tdate\n10\t1\t2001-09-09T01:46:40Z\n20\t2\t2001-09-09T01:46:41Z\n"))
    return path


def _parquet(folder: Path) -> Path:
    frame = pd.DataFrame({"user": [1.0, 2.0], "item": [10, 20], "ts": pd.to_datetime([10**9, 10**9 + 1], unit="s")})
    frame.to_parquet(folder / "log.parquet")
    return folder / "log.parquet"


@pytest.mark.parametrize(
    ("write", "values", "start"),
    [
        (_grouplens, [4.5, 3], 1000),
        (_milliseconds, [4.5, 3], 10**9),
        (_zipped_iso, [None, None], 10**9),
        (_parquet, [None, None], 10**9),
    ],
)
def test_logs_without_event_ids_are_taken_once(
    tmp_path: Path, write: Callable[[Path], Path], values: list[float | None], start: int
) -> None:
    store = MemoryStore()
    path = write(tmp_path)
    assert import_events(store, path, batch=1) == Imported(2, 2, 0)
    assert import_events(store, path) == Imported(2, 0, 2)
    found = [(e.user_id, e.item_id, e.value, e.time, e.kind) for e in events_of(store)]
    kinds = ["use" if value is None else "rating" for value in values]
    assert found == [("1", "10", values[0], start, kinds[0]), ("2", "20", values[1], start + 1, kinds[1])]


def test_equal_rows_are_one_event_in_whichever_file_they_stand(tmp_path: Path) -> None:
    (tmp_path / "january.csv").write_text("user,item,time\na,x,1\na,x,1\na,y,2\n")
    (tmp_path / "february.csv").write_text("time,user,item\n2,a,y\n3,a,x\n")
    store = MemoryStore()
    assert import_events(store, tmp_path / "january.csv") == Imported(3, 2, 1)
    assert import_events(store, tmp_path / "february.csv") == Imported(2, 1, 1)


def test_declared_columns_are_obeyed(tmp_path: Path) -> None:
    (tmp_path / "shop.csv").write_text("buyer;sku;at\na;x;5\n")
    store = MemoryStore()
    import_events(store, tmp_path / "shop.csv", columns=Columns(user="buyer", item="sku", time="at"))
    assert [(e.user_id, e.item_id, e.time) for e in events_of(store)] == [("a", "x", 5)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user,item\na,x\n", "no column for the time among 'user', 'item'"),
        ("user,item,time\na,x,1\n,x,2\n", "line 3: user_id is empty"),
        ("user,item,time\na,x,soon\n", "line 2: time 'soon' is not in Unix seconds"),
        ("user,item,time\na,x,5\na,x,2001-09-09T01:46:40Z\n", "line 3: time '2001-09-09T01:46:40Z' is not in seconds"),
        ("user,item,rating,time\na,x,good,5\n", "line 2: value 'good' is not a number"),
        ("user,item,rating,time\na,x,nan,5\n", "line 2: value is nan"),
        ("user,item,time\na,x\n", "line 2: 2 fields where 3 are expected"),
        ('user,item,time\na,"x,5\n', "line 2: it cannot be read"),
        ("user,item,time,kind,event_id\na,x,5,shared,e\n", "line 2: kind 'shared' is none of use"),
        ("user,item,rating,time\na,x,,5\n", "line 2: value '' is not a number"),
        ("user,item,time,event_id\na,x,5,\n", "line 2: event_id is empty"),
    ],
)
def test_bad_rows_are_refused_with_file_line_value_and_cure(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "log.csv"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        import_events(MemoryStore(), path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_times_before_1970_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,time\nu,a,5\nu,b,-5\n")
    with pytest.raises(DataError, match=r"line 3: time is -5, before 1970; give"):
        import_events(MemoryStore(), tmp_path / "log.csv")


@pytest.mark.parametrize(
    ("written", "date"),
    [("1600000301", "2020-09-13 12:31"), ("4102444800000", "2100-01-01"), ("2100-01-01", "2100-01-01 00:00")],
)
def test_times_of_the_future_are_refused_in_any_unit(tmp_path: Path, written: str, date: str) -> None:
    def clock() -> float:
        return 1.6e9

    store = MemoryStore()
    path = tmp_path / "log.csv"
    before = {"4102444800000": "1600000000000", "2100-01-01": "2020-01-01"}.get(written, "1600000300")
    path.write_text(f"user,item,time\na,x,{before}\na,y,{written}\n")
    with pytest.raises(DataError, match=rf"line 3: time is {written}, that is {date}.* in the future; correct it"):
        import_events(store, path, clock=clock)
    assert import_events(store, path, clock=_end_of_time) == Imported(2, 2, 0)


def test_undecodable_bytes_and_json_are_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(b"user,item,time\n\xff,x,5\n")
    with pytest.raises(DataError, match="line 2: it cannot be read"):
        import_events(MemoryStore(), tmp_path / "log.csv")
    (tmp_path / "log.jsonl").write_text('{"user": 1, "item": 2, "time": 3}\n')
    with pytest.raises(DataError, match="convert the file"):
        import_events(MemoryStore(), tmp_path / "log.jsonl")


def test_an_import_that_contradicts_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("event_id,user,item,time\ne1,a,x,5\n")
    with pytest.raises(ConflictError, match="'e1'"):
        import_events(stored(Event("e1", "a", "y", 1.0, 5)), tmp_path / "log.csv")


# Training on what was served.


def _same(one: Interactions, other: Interactions) -> bool:
    return one.fingerprint == other.fingerprint and one.clock == other.clock


def test_a_store_gives_the_log_of_the_file_it_was_filled_from(store: EventStore, tmp_path: Path) -> None:
    log = simulated_log(seed=3)
    frame = pd.DataFrame(
        {
            "user": log.users.ids[log.user_num],
            "item": log.items.ids[log.item_num],
            "rating": log.value,
            "time": log.time,
        }
    ).sample(2000, random_state=0)
    frame.to_csv(tmp_path / "log.csv", index=False)
    import_events(store, tmp_path / "log.csv")
    assert _same(interactions_of(store), read_log(tmp_path / "log.csv"))


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("rated", [True, False])
def test_a_store_and_its_export_are_one_log(store: EventStore, tmp_path: Path, suffix: str, rated: bool) -> None:
    """Disliked, undone and erased events included: trained on either, a model is the same."""
    draw = np.random.default_rng(7)
    kinds: list[Kind] = ["use", "like", "dislike", "buy"]
    events = [
        Event(
            f"e{n}",
            f"u{draw.integers(6)}",
            str(draw.integers(12)),
            [None, 1.0, 2.5, 4.0][int(draw.integers(4))] if rated and kind == "use" else None,
            int(draw.integers(1000)),
            kind,
        )
        for n, kind in enumerate(draw.choice(kinds, 200).tolist())
    ]
    store.append(events)
    for event in events[::9]:
        store.undo_event(event.user_id, event.event_id)
    store.erase_user("u3")
    path = tmp_path / f"events{suffix}"
    export_events(store, path)
    of_store, of_file = interactions_of(store), read_log(path)
    assert _same(of_store, of_file)
    assert of_store.kinds is not None
    assert described(of_store.kinds).keys() == ({"use", "rating"} if rated else {"use"}) | {"like", "dislike", "buy"}
    assert "u3" not in of_store.users.ids.tolist()
    assert np.isnan(of_store.value).any() == rated  # without a single rating it is a log without ratings, all 1
    assert set(of_store.value[np.isfinite(of_store.value)].tolist()) == ({1.0, 2.5, 4.0} if rated else {1.0})
    other = MemoryStore()
    import_events(other, path)
    assert _same(interactions_of(other), of_store)


def test_conditions_go_with_events_into_logs(tmp_path: Path) -> None:
    said = ["phone", None, "desk", "phone"]
    store = stored(*(Event(f"e{n}", "7", str(n % 3), 1.0 + n, n, "rating", one) for n, one in enumerate(said)))
    log = interactions_of(store)
    assert log.condition_names == ("desk", "phone")
    assert log.conditions is not None
    assert log.conditions.tolist() == [-1, 0, 1]  # the first rating of item 0 was replaced
    every = log.every
    assert every.conditions is not None
    assert every.conditions.tolist() == [1, -1, 0, 1]
    path = tmp_path / "events.csv"
    export_events(store, path)
    assert read_log(path).fingerprint == log.fingerprint
    assert log.compact().condition_names == log.condition_names
    answers = Responses.of(log)
    assert answers.names[-2:] == ("condition nothing said", "condition desk")
    assert answers.condition[:, -2:].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]
    # Elsewhere a column of that name is often the state of a used item.
    (tmp_path / "log.csv").write_text("user,item,rating,condition\n1,a,4,new\n1,b,5,used\n")
    assert read_log(tmp_path / "log.csv").conditions is None
    declared = read_log(tmp_path / "log.csv", Columns(condition="condition"))
    assert declared.condition_names == ("new", "used")
    assert declared.fingerprint != read_log(tmp_path / "log.csv").fingerprint


def test_a_kind_without_event_ids_is_read_where_it_is_declared_by_training_and_import_alike(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("user,item,time,did\na,x,1,use\na,y,2,dismiss\n")
    for columns, uses in ((Columns(), 2), (Columns(kind="did"), 1)):
        store = MemoryStore()
        import_events(store, path, columns=columns)
        assert len(interactions_of(store).uses) == len(read_log(path, columns).uses) == uses


def test_ids_repeats_and_kinds_follow_the_rules_of_logs() -> None:
    store = stored(
        Event("1", "7", "10", 2.0, 50),
        Event("2", "7", "10", 5.0, 60),
        Event("3", "7", "11", None, 70, "dislike"),
        Event("4", "8", "12", None, 40, "like"),
    )
    log = interactions_of(store, name="shop")
    assert (log.users.ids.tolist(), log.items.ids.tolist(), log.name, log.clock) == (
        [7, 8],
        [10, 11, 12],
        "shop",
        "seconds",
    )
    assert log.time.tolist() == [60, 70, 40]
    assert log.value[0] == 5
    assert np.isnan(log.value[1:]).all()
    assert [KINDS[code] for code in kinds_of(log)] == ["rating", "dislike", "like"]
    assert interactions_of(store, until=1).value.tolist() == [2.0]
    with pytest.raises(DataError, match="the event store shop holds no interactions yet"):
        interactions_of(store, name="shop", until=0)


def test_titles_come_from_what_knows_the_items() -> None:
    known = Vocabulary(np.array([12, 10]))
    metadata = ItemMetadata(("Twelve", "Ten"), (("Drama",), ()), (("slow",), ()))
    log = interactions_of(stored(Event("1", "u", "10", 1.0, 5), Event("2", "u", "11", 1.0, 6)), known=(known, metadata))
    assert log.metadata.titles == ("Ten", "11")
    log = interactions_of(stored(Event("1", "u", "12", 1.0, 5)), known=(known, metadata))
    assert (log.metadata.titles, log.metadata.genres, log.metadata.tags) == (("Twelve",), (("Drama",),), (("slow",),))


def test_a_pinned_address_gives_the_same_log_after_more_was_served(shared_address: str) -> None:
    with open_store(shared_address) as store:
        store.append([Event("1", "u", "10", 1.0, 5)])
        address = pinned(shared_address)
        store.append([Event("2", "u", "11", 1.0, 6)])
    assert address == f"{shared_address}#1" == pinned(address)
    assert (len(log_of(address)), len(log_of(shared_address))) == (1, 2)
    assert pinned("ml-latest-small") == "ml-latest-small"


def test_a_log_of_a_store_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy", reason="pip install recsys[serving]")
    with pytest.raises(StoreError, match="does not exist"):
        log_of(f"sqlite:///{tmp_path / 'events.db'}")
    assert list(tmp_path.iterdir()) == []


# The command.


def _run(*words: str) -> None:
    parser = Parser()
    command.add(parser.add_subparsers())
    options = parser.parse_args(["events", *words])
    options.call(options)


def test_the_command_copies_in_and_out(shared_address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "shop.csv").write_text("buyer,item,time\na,x,5\nb,x,6\n")
    _run("import", "--events", shared_address, str(tmp_path / "shop.csv"), "--columns", "user=buyer")
    assert capsys.readouterr().out == "2 rows: 2 new events, 0 were there already\n"
    _run("import", "--events", shared_address, str(tmp_path / "shop.csv"), "--columns", "user=buyer", "--json")
    assert json.loads(capsys.readouterr().out) == {"rows": 2, "accepted": 0, "repeated": 2}
    _run("export", "--events", shared_address, str(tmp_path / "out.parquet"))
    assert "2 events: " in capsys.readouterr().out
    assert pd.read_parquet(tmp_path / "out.parquet")["user_id"].tolist() == ["a", "b"]
    with pytest.raises(SystemExit):
        _run("import", "--events", shared_address, "x.csv", "--columns", "buyer")
    assert "write ROLE=NAME" in capsys.readouterr().err
