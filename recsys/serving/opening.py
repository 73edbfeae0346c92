"""Opens the answers of a finished run."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from recsys.bundles.bundle import read_manifest
from recsys.bundles.index import Recommend, describe_index, recommender_of
from recsys.events.addresses import PINNED, is_address, located
from recsys.events.impressions.records import Variant
from recsys.events.store import EventStore
from recsys.experiments.policies import catalogue_of
from recsys.experiments.runs import load_model, run_data, run_log, splits_of_run
from recsys.models.base import Recommender
from recsys.models.capabilities import as_fold_in
from recsys.models.retrieval.points import indexable
from recsys.policy.ledger import Ledger
from recsys.policy.reading import read_policy
from recsys.serving.norms.norms import Norms, open_norms
from recsys.serving.run_answers import CACHE_BYTES, RunAnswers

_LOG = logging.getLogger(__name__)


def open_answers(
    run: Path,
    store: EventStore,
    address: str,
    *,
    source: str | None = None,
    columns: Mapping[str, str] | None = None,
    history: int = 2_000,
    exact: bool = False,
    cache_bytes: int = CACHE_BYTES,
    allow: Iterable[type | str] = (),
    policy: Path | None = None,
    attributes: Path | None = None,
    ledger: Ledger | None = None,
    repeats: bool = False,
    variant: Variant = "main",
) -> RunAnswers:
    """Return the answers of a finished run, up to date with a store.

    Limits torch and BLAS to one thread: requests come one by one with small matrices, for which threads only wait for
    each other, most of all on a machine that has other work too.

    Args:
        run: its directory.
        store: the events since.
        address: of the store. A run that was trained on this very store finds its log there.
        source: read the log from here instead of where the run read it.
        columns: how to read it, in addition to what the run recorded.
        history: how many events of a user are read, the newest.
        exact: score every item, also where the run has an index.
        cache_bytes: size of the cache of user states, approximately.
        allow: classes from elsewhere that the run's bundle may name.
        policy: the file that binds every list; None: nothing does.
        attributes: a table with more facts about items, for the policy.
        ledger: where decisions are recorded; None: nowhere.
        repeats: whether items of a history may be listed again.
        variant: which of two models this is.

    Raises:
        DataError, BundleError: there is no such run, its log or its splits cannot be read, or its times are not Unix
            seconds.
        ConfigError: the run has an index, and the library for it is not installed; or the policy contradicts itself.
        CapabilityError: the policy takes events out of histories, and the model cannot read a history without them.
        StoreError: the store cannot be read.
    """
    model = load_model(run, allow)
    data = run_data(run, source, columns)
    pin = PINNED.search(data.source)
    own = is_address(data.source) and _place(data.source) == _place(address)
    log = None if own else run_log(run, model, source, columns)
    torch.set_num_threads(1)
    threadpool_limits(1, user_api="blas")
    manifest = read_manifest(run / "model")
    fingerprint = manifest.model_id
    recommend: Recommend | None = None
    if manifest.index is not None and not exact:
        recommend = recommender_of(run / "model", indexable(model).scoring_model)
        _LOG.warning("model %s recommends through an index: %s", fingerprint, describe_index(manifest.index))
    return RunAnswers(
        model,
        fingerprint,
        log,
        store,
        trained_until=int(pin[1]) if own and pin is not None else 0,
        history=history,
        recommend=recommend,
        cache_bytes=cache_bytes,
        norms=None if policy is None else _norms(policy, model, store, attributes, ledger),
        splits=splits_of_run(run, model),
        repeats=repeats,
        variant=variant,
    )


def _norms(file: Path, model: Recommender, store: EventStore, attributes: Path | None, ledger: Ledger | None) -> Norms:
    """Return the norms of a policy file, bound to the items of a model."""
    policy = read_policy(file)
    if any(rule.kind == "no_profiling" for _, rule in policy.rules):
        as_fold_in(model, f"no_profiling in {file}")
    order = model.fitted_on.tie_rank.cpu().numpy()
    norms, warnings = open_norms(policy, catalogue_of(model, attributes), order, store, ledger, int(time.time()))
    for warning in warnings:
        _LOG.warning("policy %s: %s", policy.name, warning)
    return norms


def _place(address: str) -> str:
    """Return where a store is, without its pin and options."""
    bare = re.sub(PINNED, "", address)
    return located(bare if is_address(bare) or bare == "memory:" else f"sqlite:///{bare}").partition("?")[0]
