"""Items out of files: every format gives the same catalogue, and a wrong line stores nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from recsys.cli.main import main
from recsys.errors import DataError
from recsys.events.addresses import open_store
from recsys.events.items.reading import export_items, import_items, read_catalogue
from recsys.events.items.records import ItemsPut, StoredItem
from recsys.events.memory import MemoryStore

CSV = (
    "movieId,title,genres,year,available,added_at,brand\n"
    '1,"Alien, the film (1979)",Horror|Sci-Fi,,yes,2020-01-02,Fox\n'
    "2,Heat (1995),(no genres listed),1995,0,1577923200,\n"
)
ITEMS = [
    StoredItem(
        "1", "Alien, the film (1979)", genres=("Horror", "Sci-Fi"), metadata={"brand": "Fox"}, added_at=1_577_923_200
    ),
    StoredItem("2", "Heat (1995)", 1995, (), available=False, added_at=1_577_923_200),
]


def _file(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def test_every_format_gives_the_same_items(tmp_path: Path) -> None:
    assert read_catalogue(_file(tmp_path, "movies.csv", CSV)) == ITEMS
    table = pd.DataFrame(
        {
            "item_id": [1, 2],
            "title": ["Alien, the film (1979)", "Heat (1995)"],
            "genres": [["Horror", "Sci-Fi"], []],
            "year": [None, 1995.0],
            "available": [True, False],
            "added_at": [1_577_923_200, 1_577_923_200],
            "brand": ["Fox", None],
        }
    )
    table.to_parquet(tmp_path / "items.parquet")
    assert read_catalogue(tmp_path / "items.parquet") == ITEMS
    lines = [
        {"item_id": "1", "title": "Alien, the film (1979)", "genres": ["Horror", "Sci-Fi"], "added_at": 1_577_923_200},
        {
            "item_id": "2",
            "title": "Heat (1995)",
            "genres": [],
            "year": 1995,
            "available": False,
            "added_at": "2020-01-02",
        },
    ]
    lines[0]["brand"] = "Fox"
    text = "\n\n".join(json.dumps(line) for line in lines)
    assert read_catalogue(_file(tmp_path, "items.jsonl", text)) == ITEMS


def test_what_is_exported_is_imported_the_same(tmp_path: Path) -> None:
    store, other = MemoryStore(), MemoryStore()
    store.put_items(ITEMS, 5)
    store.delete_item("3", 6)
    assert export_items(store, tmp_path / "out.jsonl") == 2
    assert import_items(other, tmp_path / "out.jsonl", 5) == ItemsPut(2, 0, 0)
    assert other.items_since(0)[1] == store.items_since(0)[1][:2]
    with pytest.raises(DataError, match="is there already"):
        export_items(store, tmp_path / "out.jsonl")
    with pytest.raises(DataError, match=r"is no \.jsonl"):
        export_items(store, tmp_path / "out.csv")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.csv", "item_id,year\n1,1990\n2,soon\n", r"a\.csv, line 3: year is 'soon'; write a whole number"),
        ("a.csv", "item_id,year\n1,1990\n1,1991\n", "line 3: item_id '1' is in line 2 too; give it once"),
        ("a.csv", "item_id,title\n1,x\n,y\n", "line 3: the item has no id"),
        ("a.csv", "item_id,title\n1,x,y\n", "line 2: not as many fields as the header"),
        ("a.csv", "item_id,available\n1,perhaps\n", "available is 'perhaps'; write true or false"),
        ("a.csv", "item_id,added_at\n1,soon\n", "added_at is 'soon'; write Unix seconds, or a date"),
        ("a.csv", "titel,jahr\nx,1\n", "no column for the item among titel, jahr; say which: --columns item_id=NAME"),
        ("a.csv", "item_id\n", "holds no items"),
        ("a.txt", "item_id\n1\n", r"is none of \.csv, \.tsv, \.parquet and \.jsonl"),
        ("a.jsonl", '{"item_id": "1"}\n[1]\n', r"line 2: \[1\] is no object"),
        ("a.jsonl", '{"item_id": "1"}\n{"item_id"\n', "line 2: no JSON"),
        ("a.jsonl", '{"item_id": "1", "genres": 3}\n', "genres is 3; write names separated by"),
        ("a.parquet", "PAR", "cannot be read"),
        ("none.csv", "", "holds no items"),
    ],
)
def test_a_wrong_line_is_named_and_nothing_is_stored(tmp_path: Path, name: str, content: str, told: str) -> None:
    store = MemoryStore()
    with pytest.raises(DataError, match=told):
        import_items(store, _file(tmp_path, name, content), 5)
    assert store.items_since(0) == (0, ())


def test_the_command_imports_twice_as_good_as_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "events.db")
    path = _file(tmp_path, "shop.csv", "sku,label,kinds\n7,Lamp,Light\n8,Chair,Wood\n")
    command = ["items", "import", "--events", store, str(path), "--columns", "title=label", "genres=kinds"]
    assert main(command) == 0
    assert capsys.readouterr().out == "2 new items, 0 changed, 0 were so already\n"
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"added": 0, "changed": 0, "same": 2}
    with open_store(store) as opened:
        assert [(item.title, item.genres) for item in opened.items_since(0)[1]] == [
            ("Lamp", ("Light",)),
            ("Chair", ("Wood",)),
        ]
    assert main(["items", "export", "--events", store, str(tmp_path / "out.jsonl")]) == 0
    assert capsys.readouterr().out.startswith("2 items: ")
    assert main([*command[:-1], "genres=kins"]) == 2
    assert "has no column 'kins'; did you mean 'kinds'" in capsys.readouterr().err
    assert main([*command[:-1], "genre=kinds"]) == 2
    assert "an item has no field 'genre'; did you mean 'genres'" in capsys.readouterr().err
