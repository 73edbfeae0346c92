"""Names resolve to logs; downloads are verified before they appear; cards are complete."""

from __future__ import annotations

import hashlib
import io
import logging
import re
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from recsys.data.catalogue import cards, datasets, fetching, locations
from recsys.data.catalogue.cards import Card
from recsys.data.readers.columns import Columns
from recsys.errors import ConfigError, DataError

MD5_OF_EMPTY = "d41d8cd98f00b204e9800998ecf8427e"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of logs."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setenv("RECSYS_DATA", str(folder))
    monkeypatch.setattr(locations, "data_roots", lambda root=None: [root or folder])
    return folder


def movielens_zip(ratings: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("ml/ratings.dat", ratings)
        archive.writestr("ml/movies.dat", "10::Ten::Drama\n")
    return stream.getvalue()


def small_card(
    url: str | None, *, sha256: str | None = None, md5: str | None = None, md5_url: str | None = None
) -> Card:
    name, paths = "small.zip", ("small.zip",)
    return Card("small", "t", "d", "l", "c", url=url, file=name, sha256=sha256, md5=md5, md5_url=md5_url, paths=paths)


@contextmanager
def served(files: dict[str, bytes], *, cut: int = 0) -> Iterator[str]:
    """Serve files over HTTP on this machine; `cut` bytes fewer than announced are sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = files.get(self.path)
            self.send_response(200 if content is not None else 404)
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write((content or b"")[: len(content or b"") - cut])

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_card_is_complete() -> None:
    entries = cards.all_cards()
    assert list(entries) == sorted(entries)
    assert set(entries) == {
        *("ml-100k", "ml-1m", "ml-latest-small", "ml-10m", "ml-20m", "ml-25m", "ml-32m", "movietweetings"),
        *("ml-1m-ordered", "amazon-beauty", "amazon-video-games", "epinions", "simulated", "simulated-drift"),
        *("lastfm-1k", "foursquare-nyc", "foursquare-tky", "retailrocket", "simulated-timescales"),
        "simulated-pairs",
    }
    for card in entries.values():
        assert card.licence
        assert card.citation
        assert card.generator or card.url or card.place, card.name
        assert card.generator or card.rows, card.name
        assert card.sha256 is None or re.fullmatch("[0-9a-f]{64}", card.sha256)
        assert card.md5 is None or re.fullmatch("[0-9a-f]{32}", card.md5)
        assert not card.url or card.sha256 or any("SHA-256" in note for note in card.notes), card.name


def test_log_is_loaded_by_name_with_the_policies_of_its_card(root: Path) -> None:
    (root / "ml-1m.zip").write_bytes(movielens_zip("1::10::3::100\n1::10::4::200\n2::11::5::50\n"))
    assert fetching.is_available("ml-1m")
    log = datasets.load("ml-1m")
    assert (log.name, len(log), log.metadata.titles) == ("ml-1m", 2, ("Ten", "11"))
    assert len(datasets.load("ml-1m", re_ratings="keep")) == 3
    (root / "ml-1m.zip").write_bytes(movielens_zip("1::10::6::100\n"))
    with pytest.raises(DataError, match=r"ratings\.dat, line 1: rating '6' is outside the declared range 1 to 5"):
        datasets.load("ml-1m")


def test_first_root_is_preferred(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "amazon-video-games.csv").write_text("a,x,4\n")
    assert not fetching.is_available("amazon-video-games")
    assert datasets.load("amazon-video-games", root=other).users.ids.tolist() == ["a"]


def test_attributes_become_tags(root: Path) -> None:
    (root / "amazon-beauty.csv").write_text("userId,itemId,timestamp\n1,4,1318896000\n1,5,1318896001\n")
    (root / "amazon-beauty-attributes.json").write_text('{"5": [3, 1], "9": [2]}')
    assert datasets.load("amazon-beauty").metadata.tags == ((), ("attribute 3", "attribute 1"))
    (root / "amazon-beauty-attributes.json").write_text('["5"]')
    with pytest.raises(DataError, match="is not a JSON object of the form"):
        datasets.load("amazon-beauty")


def test_ordered_log_is_derived_where_its_file_is_missing(root: Path) -> None:
    with pytest.raises(DataError, match=r"ml-1m-ordered is not at hand .* put a folder"):
        datasets.load("ml-1m-ordered")
    frequent = "".join(f"{user}::10::4::{100 - user}\n" for user in range(1, 6))
    (root / "ml-1m.zip").write_bytes(
        movielens_zip("1::30::5::7\n" + frequent + "".join(f"{user}::20::4::5\n" for user in range(1, 6)))
    )
    log = datasets.load("ml-1m-ordered")
    assert (log.name, log.clock) == ("ml-1m-ordered", "order")
    assert log.items.ids.tolist() == [10, 20]
    assert log.time.tolist() == [0, 1] * 5
    assert log.items.ids[log.item_num].tolist() == [20, 10] * 5
    assert log.metadata.titles == ("Ten", "20")


def test_any_file_is_loaded(root: Path) -> None:
    (root / "mine.csv").write_text("user,thing\na,1\n")
    log = datasets.load(root / "mine.csv", columns=Columns(item="thing"))
    assert (log.name, log.items.ids.tolist()) == ("mine.csv", [1])


def test_unknown_name_is_an_error_with_the_nearest_one(root: Path) -> None:
    for ask in (datasets.load, cards.card, fetching.fetch, fetching.is_available):
        with pytest.raises(
            DataError, match=r"no data set 'ml-latest-smal'; did you mean 'ml-latest-small'\?; known: amazon"
        ):
            ask("ml-latest-smal")
    with pytest.raises(
        DataError, match=r"logs/ml-100.csv is neither a file nor a data set.*; data sets: amazon-beauty"
    ):
        datasets.load("logs/ml-100.csv")


def test_generator_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    card = Card("flat", "t", "d", "l", "c", generator="recsys.worlds.flat.flat_log")
    monkeypatch.setattr(cards, "all_cards", lambda: {"flat": card})
    with pytest.raises(ConfigError, match=r"card flat: generator 'recsys\.worlds\.flat\.flat_log' cannot be found"):
        datasets.load("flat")


@pytest.mark.parametrize("name", ["simulated", "simulated-drift", "simulated-timescales"])
def test_simulated_log_needs_no_file(name: str, root: Path) -> None:
    log = datasets.load(name, seed=3)
    assert fetching.is_available(name)
    assert log.name == name
    assert log.fingerprint == datasets.load(name, seed=3).fingerprint
    assert log.fingerprint != datasets.load(name, seed=4).fingerprint
    with pytest.raises(DataError, match="nothing to fetch"):
        fetching.fetch(name)


def test_fetch_without_url_names_the_place_of_the_file(root: Path) -> None:
    with pytest.raises(DataError, match=r"epinions has no public URL; put epinions\.csv\.gz .* RECSYS_DATA"):
        fetching.fetch("epinions")
    with pytest.raises(DataError, match=r"ml-1m-ordered has no public URL; .*fetch ml-1m, from which it can be made"):
        fetching.fetch("ml-1m-ordered")
    with pytest.raises(DataError, match=r"ml-20m is not at hand .*recsys data fetch ml-20m"):
        datasets.load("ml-20m")


def test_fetch_returns_an_existing_file(root: Path) -> None:
    (root / "ml-20m.zip").write_bytes(b"")
    assert fetching.fetch("ml-20m") == root / "ml-20m.zip"


def test_fetch_downloads_into_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = movielens_zip("1::10::3::100\n")
    with served({"/small.zip": content}) as url:
        card = small_card(f"{url}/small.zip", sha256=hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(cards, "all_cards", lambda: {"small": card})
        steps: list[tuple[int, int | None]] = []
        assert fetching.fetch("small", progress=lambda done, total: steps.append((done, total))) == root / "small.zip"
    assert steps[-1] == (len(content), len(content))
    assert len(datasets.load("small")) == 1
    assert [path.name for path in root.iterdir()] == ["small.zip"]


@pytest.mark.parametrize(
    ("sha256", "md5", "md5_file", "fault"),
    [
        ("0" * 64, None, b"", "has SHA-256"),
        (None, MD5_OF_EMPTY, b"", "has MD5"),
        (None, None, f"MD5 (small.zip) = {MD5_OF_EMPTY}\n".encode(), "has MD5"),
    ],
)
def test_wrong_checksum_leaves_nothing(
    sha256: str | None, md5: str | None, md5_file: bytes, fault: str, tmp_path: Path
) -> None:
    with served({"/small.zip": b"altered", "/small.zip.md5": md5_file}) as url:
        card = small_card(f"{url}/small.zip", sha256=sha256, md5=md5, md5_url=f"{url}/small.zip.md5")
        with pytest.raises(DataError, match=f"small: the file from {url}/small.zip {fault} .*, expected"):
            fetching.download(card, tmp_path / "small.zip")
    assert list(tmp_path.iterdir()) == []


def test_without_any_checksum_the_computed_one_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with served({"/small.zip": b"content"}) as url:
        fetching.download(small_card(f"{url}/small.zip", md5_url=f"{url}/none.md5"), tmp_path / "small.zip")
    expected = f"small: no checksum recorded; computed SHA-256 {hashlib.sha256(b'content').hexdigest()}"
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.WARNING, expected)]
    assert (tmp_path / "small.zip").read_bytes() == b"content"


def test_failed_download_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "small.zip"
    with served({"/small.zip": b"content"}, cut=3) as url:
        with pytest.raises(DataError, match="404 Not Found"):
            fetching.download(small_card(f"{url}/other.zip"), target)
        with pytest.raises(DataError, match=r"only 4 of 7 bytes|IncompleteRead"):
            fetching.download(small_card(f"{url}/small.zip"), target)
    with pytest.raises(DataError, match=r"no network, or the server does not answer .*put the file as small.zip"):
        fetching.download(small_card(f"{url}/small.zip"), target)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("titel: x", "unknown key 'titel'; did you mean 'title'"),
        ("title: x", "missing .* required"),
        ("- x", "expected keys and values, found list"),
        ("a: [", "cannot be read"),
        ("{title: t, description: d, licence: l, citation: c}", "give paths"),
        ("{title: t, description: d, licence: l, citation: c, paths: [a], generator: b.c}", "or a generator"),
        (
            "{title: t, description: d, licence: l, citation: c, paths: [a], url: 'ftp://x', file: a}",
            "must begin with https",
        ),
        ("{title: t, description: d, licence: l, citation: c, paths: [a], columns: {itm: x}}", "did you mean 'item'"),
    ],
)
def test_wrong_cards(text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"(?s)x\.yaml.*{fault}"):
        Card.read(tmp_path / "x.yaml")


def test_roots_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    roots = locations.data_roots(tmp_path / "given")
    assert roots[:2] == [tmp_path / "given", tmp_path / "named"]
    assert roots[-1] == tmp_path / "cache" / "recsys"
    assert locations.download_root(tmp_path / "given") == tmp_path / "given"
    assert locations.download_root() == tmp_path / "named"
    monkeypatch.delenv("RECSYS_DATA")
    assert locations.download_root() == tmp_path / "cache" / "recsys"


def test_installed_library_finds_its_cards_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locations, "checkout", lambda: None)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    with pytest.raises(DataError, match="install recsys again"):
        locations.shipped("datasets")
    (tmp_path / "share" / "recsys" / "datasets").mkdir(parents=True)
    assert locations.shipped("datasets") == tmp_path / "share" / "recsys" / "datasets"


@pytest.mark.parametrize("name", ["ml-1m-ordered", "amazon-beauty", "amazon-video-games", "epinions"])
def test_real_logs_have_the_size_on_their_card(name: str, real_log_path: Callable[[str], Path]) -> None:
    card = cards.card(name)
    path = real_log_path(card.paths[0])
    log = datasets.load(name, root=path.parent, duplicates="keep", re_ratings="keep")
    assert (len(log), log.n_users, log.n_items) == (card.rows, card.users, card.items)
