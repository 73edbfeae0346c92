from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jaxtyping import Float
from torch import Tensor

import recsys
from recsys.bundles import manifest
from recsys.bundles.bundle import FORMAT_VERSION, load, read_manifest, save
from recsys.bundles.classes import configured
from recsys.checks import arguments_of
from recsys.data.interactions import Interactions
from recsys.data.items import ItemMetadata
from recsys.data.queries import Queries
from recsys.errors import BundleError, ConfigError, NotFittedError
from recsys.models import AMPCF, EASE, IALS, Popularity
from recsys.models.ampcf.settings import Attention, Objective
from recsys.models.base import Recommender, Validate
from recsys.models.parameters import from_plain, to_plain
from recsys.training.session import Session
from recsys.training.trainable import Optimization

FILES = ("manifest.json", "arrays.safetensors", "items.parquet", "users.parquet")


def small_log(name: str = "small") -> Interactions:
    source = np.random.default_rng(0)
    log = Interactions.from_columns(source.integers(0, 9, 60), source.integers(100, 107, 60), name=name)
    titles = tuple(f"Title {n}, “quoted”" for n in range(log.n_items))
    genres = tuple(("Drama", "War")[: n % 3] for n in range(log.n_items))
    tags = tuple(("slow \n tag",) * (n % 2) for n in range(log.n_items))
    return replace(log, metadata=ItemMetadata(titles, genres, tags))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(EASE(10).fit(small_log()), tmp_path_factory.mktemp("bundles") / "model", extra={"split": "last_one"})


@pytest.fixture
def copy(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "model"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change a manifest and sign it anew, as a forger could."""
    content = json.loads((path / "manifest.json").read_text())
    content.pop("manifest_sha256")
    change(content)
    (path / "manifest.json").write_bytes(manifest.canonical(content))


def test_fitted_model_is_restored_completely(pristine: Path) -> None:
    log = small_log()
    model, loaded = EASE(10).fit(log), load(pristine)
    for name, value in vars(model.fitted_on).items():
        assert np.array_equal(getattr(loaded.fitted_on, name), value), name
    assert sorted(entry.name for entry in pristine.iterdir()) == sorted(FILES)
    queries = Queries.from_interactions(log)
    assert torch.equal(loaded.score(queries), model.score(queries))


def test_the_manifest_says_how_the_model_was_made(tmp_path: Path) -> None:
    log = small_log()
    extra = {
        "split": "global_time",
        "seed": 7,
        "metrics": {"ndcg@10": np.float32(0.5), "none": float("nan")},
        "who": (1,),
    }
    manifest = read_manifest(save(IALS(3, seed=4).fit(log), tmp_path / "a" / "b", extra=extra))
    assert manifest.format_version == FORMAT_VERSION
    assert manifest.library_version == recsys.__version__
    assert manifest.model == "recsys.models.IALS"
    assert manifest.parameters["embedding_size"] == 3
    assert (manifest.dataset, manifest.clock, manifest.fingerprint) == ("small", "none", log.fingerprint)
    assert (manifest.split, manifest.seed) == ("global_time", 7)
    assert manifest.metrics == {"ndcg@10": 0.5, "none": None}
    assert manifest.notes == {"who": [1]}
    assert set(manifest.files) == set(FILES) - {"manifest.json"}
    assert manifest.git_commit is None or len(manifest.git_commit) == 40


def test_seed_of_a_bundle_defaults_to_that_of_the_model(tmp_path: Path) -> None:
    assert read_manifest(save(IALS(3, seed=4).fit(small_log()), tmp_path / "m")).seed == 4
    assert read_manifest(save(EASE().fit(small_log()), tmp_path / "n")).seed is None


@pytest.mark.parametrize("key", ["model", "files", "format_version", "manifest_sha256"])
def test_extra_cannot_claim_what_the_manifest_uses(key: str, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=key):
        save(EASE().fit(small_log()), tmp_path / "m", extra={key: 1})
    assert not list(tmp_path.iterdir())


@given(
    ids=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")).filter(str.strip), min_size=1, unique=True
    ),
    integers=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True),
)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_ids_survive(ids: list[str], integers: list[int], tmp_path_factory: pytest.TempPathFactory) -> None:
    count = max(len(ids), len(integers))
    users = [ids[n % len(ids)] for n in range(count)]
    items = [integers[n % len(integers)] for n in range(count)]
    model = Popularity().fit(Interactions.from_columns(users, items))
    loaded = load(save(model, tmp_path_factory.mktemp("ids") / "m"))
    assert loaded.fitted_on.users == model.fitted_on.users
    assert loaded.fitted_on.items == model.fitted_on.items


def test_nested_settings_are_rebuilt(tmp_path: Path) -> None:
    model = AMPCF(4, 2, "embedding", Attention(similarity="cosine"), optimization=Optimization(epochs=1)).fit(
        small_log()
    )
    loaded = load(save(model, tmp_path / "m"))
    assert isinstance(loaded, AMPCF)
    assert loaded.objective == Objective()
    assert loaded.parameters_of_constructor() == model.parameters_of_constructor()


@final
@dataclass(frozen=True)
class Inner:
    sizes: tuple[int, ...]
    pair: tuple[str, float] = ("a", 1.0)


class Outer:
    def __init__(self, inner: Inner | None = None, rate: float | None = 0.1) -> None:
        self.inner = inner
        self.rate = rate


def outer(values: Mapping[str, Any]) -> Outer:
    return from_plain(Outer, values, "here: Outer", configured)


def test_arguments_follow_the_type_hints() -> None:
    built = outer({"inner": {"sizes": [1, 2], "pair": ["b", 2.0]}, "rate": None})
    assert arguments_of(built) == {"inner": Inner((1, 2), ("b", 2.0)), "rate": None}
    assert to_plain(arguments_of(built)["inner"]) == {"sizes": (1, 2), "pair": ("b", 2.0)}
    with pytest.raises(ConfigError, match="Outer: unknown key 'rat'; did you mean 'rate'"):
        outer({"rat": 1})
    with pytest.raises(ConfigError, match="here: Outer: inner: unknown key 'size'; did you mean 'sizes'"):
        outer({"inner": {"size": [1]}})


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"rate": "much"}, "rate is 'much'; it must be a number"),
        ({"rate": True}, "rate is True; it must be a number"),
        ({"inner": 3}, "inner: expected a mapping"),
        ({"inner": {}}, "inner: sizes is missing"),
        ({"inner": {"sizes": [1.5]}}, "sizes is 1.5; it must be of type int"),
        ({"inner": {"sizes": [True]}}, "sizes is True; it must be of type int"),
        ({"inner": {"sizes": 1}}, "sizes is 1; it must be of type tuple"),
        ({"inner": {"sizes": [], "pair": ["b"]}}, r"pair is \['b'\]; it must have 2 entries"),
    ],
)
def test_values_of_another_type_are_refused(values: Mapping[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        outer(values)


def test_numbers_are_read_as_their_type_says() -> None:
    assert [type(outer({"rate": value}).rate) for value in (1, 1.0, "1e-2")] == [float] * 3
    assert outer({"rate": "1e-2"}).rate == 0.01


def test_a_bundle_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "m"
    save(EASE().fit(small_log("first")), path)
    save(Popularity().fit(small_log("second")), path)
    assert load(path).fitted_on.dataset == "second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]


def test_a_failed_save_leaves_the_old_bundle_and_no_litter(tmp_path: Path) -> None:
    path = save(EASE().fit(small_log("first")), tmp_path / "m")
    with pytest.raises(BundleError, match="JSON"):
        save(Popularity().fit(small_log("second")), path, extra={"metrics": {"x": object()}})
    assert load(path).fitted_on.dataset == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077])
def test_all_files_of_a_bundle_may_be_read_by_whom_the_umask_allows(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path = save(EASE().fit(small_log()), tmp_path / "m")
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o777 & ~mask
    assert {file.name: file.stat().st_mode & 0o777 for file in path.iterdir()} == {
        file.name: 0o666 & ~mask for file in path.iterdir()
    }


def test_only_bundles_are_replaced(tmp_path: Path) -> None:
    model = Popularity().fit(small_log())
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    (tmp_path / "file").write_text("x")
    for name in ("thesis", "file"):
        with pytest.raises(BundleError, match="will not be replaced"):
            save(model, tmp_path / name)
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "years of work"
    (tmp_path / "empty").mkdir()
    assert load(save(model, tmp_path / "empty"))


def test_an_unfitted_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save(EASE(), tmp_path / "m")
    assert not list(tmp_path.iterdir())


@final
class Foreign(Recommender):
    """A model from elsewhere."""

    def _fit(self, train: Interactions, validate: Validate | None, session: Session) -> None: ...

    def _score(self, queries: Queries) -> Float[Tensor, "queries items"]:
        return torch.zeros(len(queries), self.n_items)

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        return {}

    def _restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None: ...


def test_a_class_that_could_not_be_loaded_is_not_saved(tmp_path: Path) -> None:
    @final
    class Local(Recommender):
        _fit, _score, _arrays, _restore = Foreign._fit, Foreign._score, Foreign._arrays, Foreign._restore

    with pytest.raises(BundleError, match=r"Local cannot be imported by that name"):
        save(Local().fit(small_log()), tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_a_model_from_elsewhere_must_be_allowed(tmp_path: Path) -> None:
    path = save(Foreign().fit(small_log()), tmp_path / "m")
    assert read_manifest(path).model == f"{Foreign.__module__}.Foreign"
    for allow in ([], [EASE]):
        with pytest.raises(
            BundleError, match=r"Foreign' is not a model of this library; if you trust it.*--allow-model"
        ):
            load(path, allow)
    assert isinstance(load(path, [Foreign]), Foreign)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, copy: Path) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=name):
        load(copy)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(name: str, keep: float, copy: Path) -> None:
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[: int(keep * len(content))])
    with pytest.raises(BundleError, match=name):
        load(copy)


@pytest.mark.parametrize("name", FILES)
@given(position=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255))
@settings(max_examples=40, deadline=None)
def test_one_altered_byte_is_noticed(name: str, position: float, flip: int, pristine: Path) -> None:
    content = bytearray((pristine / name).read_bytes())
    original = bytes(content)
    content[int(position * len(content))] ^= flip
    try:
        (pristine / name).write_bytes(content)
        with pytest.raises(BundleError, match=name):
            load(pristine)
    finally:
        (pristine / name).write_bytes(original)


@pytest.mark.parametrize("name", FILES)
def test_appended_bytes_are_noticed(name: str, copy: Path) -> None:
    with (copy / name).open("ab") as stream:
        stream.write(b"\n")
    with pytest.raises(BundleError, match=name):
        load(copy)


def test_a_file_too_many_is_named(copy: Path) -> None:
    (copy / "sitecustomize.py").write_text("raise SystemExit")
    with pytest.raises(BundleError, match=r"sitecustomize\.py: does not belong"):
        load(copy)


def test_a_link_instead_of_a_file_is_refused(copy: Path, pristine: Path) -> None:
    (copy / "items.parquet").unlink()
    (copy / "items.parquet").symlink_to(pristine / "items.parquet")
    with pytest.raises(BundleError, match=r"items\.parquet: is not a plain file"):
        load(copy)


@pytest.mark.parametrize("version", [3, 0, "1", True, None, 1.5, 1.0, 2.0])
def test_an_unknown_format_version_is_refused_by_saying_so(version: object, copy: Path) -> None:
    rewrite(copy, lambda content: content.update(format_version=version))
    with pytest.raises(BundleError, match=r"format version .* is unknown, this library reads version 2 and earlier"):
        load(copy)


@pytest.mark.parametrize("name", ["../users.parquet", "/etc/passwd", "..", "a/../users.parquet"])
def test_files_outside_the_bundle_are_refused(name: str, copy: Path) -> None:
    rewrite(copy, lambda content: content["files"].update({name: content["files"].pop("users.parquet")}))
    with pytest.raises(BundleError, match="lists the files"):
        load(copy)


@pytest.mark.parametrize(
    "name",
    ["os.system", "builtins.eval", "recsys.models.linear.ease.torch", "recsys.models.Recommender", "EASE", ""],
)
def test_no_other_class_is_ever_made(name: str, copy: Path) -> None:
    rewrite(copy, lambda content: content.update(model=name))
    with pytest.raises(BundleError, match="is not a model of this library"):
        load(copy)


def test_an_argument_unknown_to_this_version_is_refused(copy: Path) -> None:
    rewrite(copy, lambda content: content["parameters"].update(regularisation=3.0))
    with pytest.raises(BundleError, match="did you mean 'regularization'"):
        load(copy)


def test_arrays_of_another_model_are_refused(copy: Path) -> None:
    rewrite(copy, lambda content: content.update(model="recsys.models.Popularity", parameters={}))
    with pytest.raises(BundleError, match=r"do not agree on recsys\.models\.Popularity"):
        load(copy)


@pytest.mark.parametrize("value", [None, 3, [], "x"])
@pytest.mark.parametrize("key", ["model", "parameters", "files", "metrics", "clock"])
def test_a_manifest_of_the_wrong_shape_is_refused(key: str, value: object, copy: Path) -> None:
    rewrite(copy, lambda content: content.update({key: value}))
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load(copy)


@pytest.mark.parametrize("key", ["library_version", "dataset", "fingerprint"])
def test_a_manifest_whose_facts_are_no_text_is_refused(key: str, copy: Path) -> None:
    rewrite(copy, lambda content: content.update({key: 3}))
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load(copy)


def test_arguments_that_no_version_wrote_are_refused(copy: Path) -> None:
    rewrite(copy, lambda content: content["parameters"].update(regularization=10**400))
    with pytest.raises(BundleError, match="it must be a number"):
        load(copy)
    decayed = {"model": {"class_path": "recsys.models.EASE", "init_args": {}}, "half_life": 3.0, "per_user": 5}
    rewrite(copy, lambda content: content.update(format_version=1, model="recsys.models.Decayed", parameters=decayed))
    with pytest.raises(BundleError, match="unknown key 'half_life'"):
        load(copy)


def test_one_class_may_be_allowed_without_a_list(copy: Path) -> None:
    for one in (EASE, "recsys.models.EASE"):
        assert isinstance(load(copy, allow=one), EASE)
    for wrong in ([5], [int], 5):
        with pytest.raises(ConfigError, match="allow holds"):
            load(copy, allow=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '{"format_version": 1}', '{"format_version": NaN}', "[" * 100_000]
)
def test_malformed_manifest_is_refused(text: str, copy: Path) -> None:
    (copy / "manifest.json").write_text(text)
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load(copy)


def test_no_bundle_at_all(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"nowhere.manifest\.json: cannot be read"):
        load(tmp_path / "nowhere")
