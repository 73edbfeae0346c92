"""Logs of people who come back, read from small files of the published layouts: music, check-ins, visits of a shop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recsys.data.catalogue import datasets
from recsys.data.feedback import kinds_of
from recsys.data.kinds import KINDS
from recsys.data.sessions import sessions
from recsys.errors import DataError


def put(root: Path, path: str, text: str, encoding: str = "utf-8") -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding=encoding)


def times(texts: list[str]) -> list[int]:
    return [int(moment) for moment in np.array(texts, dtype="datetime64[s]").astype(np.int64)]


def test_lastfm_1k_has_artists_with_any_quotation_mark(tmp_path: Path) -> None:
    rows = [
        "user_000001\t2009-05-04T23:08:57Z\tf1b1cf71\tDeep Dish\t\tFuck Me Im Famous (Pacha Ibiza)-09-28-2007",
        'user_000001\t2009-05-04T13:54:10Z\t\t"Weird Al" Yankovic\ta7f7df4a\t12" Mix',
        'user_000001\t2009-05-06T13:54:10Z\t\t"Weird Al" Yankovic\t\tEat It',
        'user_000002\t2009-05-03T15:48:25Z\ta7f7df4a\t坂本龍一\t\t"Tibetan Dance',
    ]
    path = "lastfm-dataset-1K/userid-timestamp-artid-artname-traid-traname.tsv"
    put(tmp_path, path, "\n".join(rows) + "\n")
    log = datasets.load("lastfm-1k", root=tmp_path)
    assert log.items.ids[log.item_num].tolist() == [
        '"Weird Al" Yankovic',
        "Deep Dish",
        '"Weird Al" Yankovic',
        "坂本龍一",
    ]
    assert log.time.tolist() == times(
        ["2009-05-04T13:54:10", "2009-05-04T23:08:57", "2009-05-06T13:54:10", "2009-05-03T15:48:25"]
    )
    assert sessions(log).tolist() == [0, 0, 1, 0]
    put(tmp_path, path, "user_000001\tyesterday\t\tDeep Dish\t\tOne\n")
    with pytest.raises(DataError, match=r"traname\.tsv, line 1: time 'yesterday'"):
        datasets.load("lastfm-1k", root=tmp_path)


@pytest.mark.parametrize(("name", "city"), [("foursquare-nyc", "NYC"), ("foursquare-tky", "TKY")])
def test_foursquare_has_times_that_are_written_out_and_categories(tmp_path: Path, name: str, city: str) -> None:
    rows = [
        "470\t49bbd6c0\t4bf58dd8\tArts & Crafts Store\t40.719810\t-74.002581\t-240\tTue Apr 03 18:00:09 +0000 2012",
        "470\t4a43c0ae\t4bf58dd8\tCafé\t40.606800\t-74.044170\t-240\tWed Apr 04 18:00:25 +0000 2012",
        "979\t49bbd6c0\t4bf58dd8\tArts & Crafts Store\t40.719810\t-74.002581\t-240\tSat Feb 16 02:35:29 +0000 2013",
        "470\t49bbd6c0\t4bf58dd8\tArts & Crafts Store\t40.719810\t-74.002581\t-240\tSun Apr 08 18:00:00 +0000 2012",
    ]
    put(tmp_path, f"dataset_tsmc2014/dataset_TSMC2014_{city}.txt", "\n".join(rows) + "\n", "latin-1")
    log = datasets.load(name, root=tmp_path)
    assert log.users.ids[log.user_num].tolist() == [470, 470, 470, 979]
    assert log.items.ids[log.item_num].tolist() == ["49bbd6c0", "4a43c0ae", "49bbd6c0", "49bbd6c0"]
    assert log.time.tolist() == times(
        ["2012-04-03T18:00:09", "2012-04-04T18:00:25", "2012-04-08T18:00:00", "2013-02-16T02:35:29"]
    )
    assert "category Café" in {genre for genres in log.metadata.genres for genre in genres}
    put(tmp_path, f"dataset_tsmc2014/dataset_TSMC2014_{city}.txt", rows[0] + "\n" + rows[0].replace("Apr", "Foo"))
    with pytest.raises(DataError, match=r"line 2: time 'Tue Foo 03"):
        datasets.load(name, root=tmp_path)


def test_retailrocket_has_kinds_and_milliseconds(tmp_path: Path) -> None:
    rows = [
        "timestamp,visitorid,event,itemid,transactionid",
        "1433221332117,257597,view,355908,",
        "1433224214164,257597,addtocart,355908,",
        "1433321332117,257597,transaction,355908,4000",
        "1433223236124,111016,view,318965,",
    ]
    put(tmp_path, "retailrocket/events.csv", "\n".join(rows) + "\n")
    log = datasets.load("retailrocket", root=tmp_path)
    assert [KINDS[code] for code in kinds_of(log)] == ["view", "view", "like", "buy"]
    assert log.time.tolist() == [1433223236, 1433221332, 1433224214, 1433321332]
    assert log.users.ids[log.user_num].tolist() == [111016, 257597, 257597, 257597]


@pytest.mark.parametrize("name", ["lastfm-1k", "foursquare-nyc", "foursquare-tky", "retailrocket"])
def test_who_lacks_the_file_is_told_where_to_put_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="folder of logs"):
        datasets.load(name, root=tmp_path)
