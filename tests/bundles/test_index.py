"""The index of a bundle: written whole or not at all, of this very model, and left aside when asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.retrieval.large_catalogue import LargeCatalogue, Shape
from recsys.bundles import bundle, manifest
from recsys.bundles import index as bundle_index
from recsys.bundles.bundle import load, read_manifest, save
from recsys.data.queries import Queries
from recsys.errors import BundleError, ConfigError
from recsys.models import AMPCF

pytest.importorskip("faiss", reason="the index is an extra")

from recsys.bundles.index import IndexRecord, describe_index, digest_of, load_index, recommender_of, save_index
from recsys.models.retrieval.index import PersonaIndex, Search
from recsys.models.retrieval.tuning import Latency, Measured, Recall

RECORD = IndexRecord(
    0.97,
    Recall(0.98, 0.971, 0.9, 40),
    Measured(Recall(0.975, 0.97, 0.8, 60), Latency(1, 2, 1.5), Latency(3, 4, 3.5)),
    seed=5,
    build_seconds=1.5,
)


@pytest.fixture(scope="module")
def model() -> AMPCF:
    return LargeCatalogue(Shape(items=2_000, size=8, personas=2, users=5)).model()


@pytest.fixture(scope="module")
def pristine(model: AMPCF, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(model, tmp_path_factory.mktemp("bundles") / "model", extra={"split": "last_one", "colour": "blue"})


@pytest.fixture
def path(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "model"))


def add(path: Path, model: AMPCF, probes: int = 20, seed: int = 5) -> dict[str, Any]:
    index = PersonaIndex.build(model, Search(probes, 50, 10), cells=50, seed=seed)
    return save_index(path, index, RECORD, model_digest=digest_of(read_manifest(path)))


def sign(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest and sign it anew, as a forger could."""
    content = json.loads((path / "manifest.json").read_text())
    content.pop("manifest_sha256")
    change(content)
    (path / "manifest.json").write_bytes(manifest.canonical(content))


def test_a_bundle_without_an_index_recommends_exactly(path: Path) -> None:
    model = load(path)
    assert read_manifest(path).index is None
    assert load_index(path, model) is None
    assert recommender_of(path, model) == model.recommend


def test_the_manifest_says_how_the_index_was_made_and_what_it_finds(path: Path, model: AMPCF) -> None:
    before = read_manifest(path)
    told = add(path, model)
    manifest = read_manifest(path)
    assert manifest.index is not None
    assert told == {**manifest.index, "bytes": (path / told["file"]).stat().st_size}
    assert manifest.index["search"] == {"probes": 20, "depth": 50, "n": 10}
    assert (manifest.index["cells"], manifest.index["seed"], manifest.index["asked"]) == (50, 5, 0.97)
    assert manifest.index["measured"]["recall"] == {"mean": 0.975, "low": 0.97, "whole": 0.8, "questions": 60}
    assert manifest.index["library"].startswith("faiss ")
    assert describe_index(manifest.index) == "recall@10 0.9750 of the exact lists, on 60 questions"
    # All else is as it was.
    assert (manifest.notes, manifest.split, manifest.created) == ({"colour": "blue"}, "last_one", before.created)
    assert {name: manifest.files[name] for name in before.files} == before.files


def test_saved_index_gives_the_same_lists(path: Path, model: AMPCF) -> None:
    add(path, model)
    queries = Queries.from_history([[5, 800, 1_700], []])
    fresh = PersonaIndex.build(model, Search(20, 50, 10), cells=50, seed=5)
    loaded = load(path)
    found = recommender_of(path, loaded)(queries, 10)
    assert found.items.tolist() == fresh.recommend(queries, 10).items.tolist()
    assert recommender_of(path, loaded, exact=True) == loaded.recommend


def test_a_new_index_takes_the_place_of_the_old(path: Path, model: AMPCF) -> None:
    first = add(path, model)["file"]
    second = add(path, model, seed=6)["file"]
    assert first != second
    assert sorted(entry.name for entry in path.iterdir() if entry.suffix == ".faiss") == [second]
    load(path)
    index = load_index(path, model)
    assert index is not None
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


def test_training_again_removes_the_index(path: Path, model: AMPCF) -> None:
    add(path, model)
    save(model, path)
    assert read_manifest(path).index is None
    assert not list(path.glob("*.faiss"))


def test_an_index_of_another_model_is_refused(path: Path, model: AMPCF) -> None:
    add(path, model)
    sign(path, lambda content: content["index"].update(model_sha256="0" * 64))
    loaded = load(path)
    with pytest.raises(BundleError, match="was made of another model; make it again with `recsys index`, or use --ex"):
        recommender_of(path, loaded)
    assert recommender_of(path, loaded, exact=True) == loaded.recommend


def test_a_model_that_was_replaced_meanwhile_gets_no_index(path: Path, model: AMPCF) -> None:
    index = PersonaIndex.build(model, Search(20, 50, 10), cells=50)
    digest = digest_of(read_manifest(path))
    save(LargeCatalogue(Shape(items=2_000, size=8, personas=2, users=5, seed=1)).model(), path)
    with pytest.raises(BundleError, match="was replaced while its index was made"):
        save_index(path, index, RECORD, model_digest=digest)
    assert load(path)
    assert read_manifest(path).index is None


def test_every_byte_of_the_index_is_checked(path: Path, model: AMPCF) -> None:
    name = add(path, model)["file"]
    file = path / name
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BundleError, match=rf"{name}: its SHA-256 is not the one in the manifest"):
        load(path)
    file.write_bytes(whole[:-1])
    with pytest.raises(BundleError, match=f"{name}: has .* bytes instead of"):
        load(path)
    file.unlink()
    with pytest.raises(BundleError, match=f"{name}: is missing"):
        load(path)


def test_a_signed_file_that_is_no_index_is_refused(path: Path, model: AMPCF) -> None:
    name = add(path, model)["file"]
    (path / name).write_bytes(b"IwFl" + bytes(300))
    sign(path, lambda content: content["files"].update({name: bundle.facts_of(path / name)}))
    with pytest.raises(BundleError, match=f"{name}: cannot be used .* make it again"):
        load_index(path, load(path))
    smaller = PersonaIndex.build(
        LargeCatalogue(Shape(items=900, size=8, personas=2, users=5)).model(), Search(3, 9, 9), cells=9
    )
    smaller.vectors.write(path / name)
    sign(path, lambda content: content["files"].update({name: bundle.facts_of(path / name)}))
    with pytest.raises(BundleError, match=f"{name}: cannot be used .the index holds 900 vectors"):
        load_index(path, load(path))


@pytest.mark.parametrize("name", ["../../etc/passwd", "arrays.safetensors", "index.py"])
def test_the_manifest_names_no_other_file_as_index(path: Path, model: AMPCF, name: str) -> None:
    add(path, model)
    sign(path, lambda content: content["index"].update(file=name))
    with pytest.raises(BundleError, match="lists the files"):
        load(path)


def test_an_interrupted_command_leaves_the_bundle_as_it_was(
    path: Path, model: AMPCF, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = add(path, model)["file"]
    replace = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if target.name == "manifest.json":
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        add(path, model, seed=6)
    monkeypatch.undo()
    assert len(list(path.glob("index-*.faiss"))) == 2
    assert load(path)
    assert load_index(path, model) is not None
    assert read_manifest(path).files.keys() >= {kept}
    add(path, model, seed=7)
    assert len(list(path.glob("index-*.faiss"))) == 1


_WRITER = """
import sys
from pathlib import Path
from recsys.bundles.bundle import load, read_manifest
from recsys.bundles.index import digest_of, save_index
from recsys.models.retrieval.index import PersonaIndex, Search
from tests.bundles.test_index import RECORD
path = Path(sys.argv[1])
model = load(path)
indexes = [PersonaIndex.build(model, Search(20, 50, 10), cells=50, seed=seed) for seed in (1, 2)]
print("ready", flush=True)
while True:
    for index in indexes:
        save_index(path, index, RECORD, model_digest=digest_of(read_manifest(path)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_bundle_survives_a_kill_while_indexes_are_written(path: Path) -> None:
    root = Path(__file__).parents[2]
    for pause in np.random.default_rng(0).uniform(0.0, 0.2, 3).tolist():
        with subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(path)],
            stdout=subprocess.PIPE,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"ready\n"
            time.sleep(pause)
            writer.kill()
        model = load(path)
        index = load_index(path, model)
        queries = Queries.from_history([[5, 800]])
        if index is not None:
            assert (index.recommend(queries, 10).items >= 0).all()
    assert read_manifest(path).index is not None


def test_without_the_library_the_cure_is_named(path: Path, model: AMPCF, monkeypatch: pytest.MonkeyPatch) -> None:
    add(path, model)
    monkeypatch.setitem(sys.modules, "faiss", None)
    monkeypatch.delitem(sys.modules, "recsys.models.retrieval.vector_index")
    monkeypatch.delattr(sys.modules["recsys.models.retrieval"], "vector_index")
    loaded = load(path)
    with pytest.raises(ConfigError, match=r"holds an index, and faiss is not installed; pip install 'recsys\[index\]'"):
        bundle_index.recommender_of(path, loaded)
    assert bundle_index.recommender_of(path, loaded, exact=True) == loaded.recommend
