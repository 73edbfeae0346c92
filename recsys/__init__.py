"""Multi-persona recommendation: train, compare and explain AMP-CF and the usual baselines on logs of who used what.

>>> import recsys
>>> split = recsys.split(recsys.load("simulated"))
>>> model = recsys.train(split, "ease")
>>> recsys.recommend(model, users=[1, 2], log=split.train, n=3).columns.tolist()
['user_id', 'rank', 'item_id', 'title', 'score', 'owner_name', 'reason']

Names are imported when they are first used, so `import recsys` costs nothing.
"""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from recsys import models as models
    from recsys.bundles.bundle import save as save
    from recsys.data.catalogue.datasets import load as load
    from recsys.data.interactions import Interactions as Interactions
    from recsys.data.readers.columns import Columns as Columns
    from recsys.data.readers.log import read_log as read
    from recsys.data.splits.holdout import Split as Split
    from recsys.data.splits.standard import split as split
    from recsys.errors import BundleError as BundleError
    from recsys.errors import CapabilityError as CapabilityError
    from recsys.errors import ConfigError as ConfigError
    from recsys.errors import DataError as DataError
    from recsys.errors import NotFittedError as NotFittedError
    from recsys.errors import RecsysError as RecsysError
    from recsys.evaluation.comparison import compare_models as compare
    from recsys.evaluation.holdout import evaluate as evaluate
    from recsys.evaluation.result import Evaluation as Evaluation
    from recsys.experiments.fitting import train as train
    from recsys.experiments.runs import load_model as load_model
    from recsys.explanations.frames import explain_to as explain
    from recsys.explanations.frames import personas as personas
    from recsys.explanations.frames import recommend as recommend
    from recsys.explanations.frames import recommend_all as recommend_all
    from recsys.explanations.frames import similar_items as similar_items
    from recsys.models.base import Recommender as Recommender

    from_pandas = Interactions.from_pandas

__version__ = "0.2.0"

_HOMES: Final = {
    "BundleError": "recsys.errors:BundleError",
    "CapabilityError": "recsys.errors:CapabilityError",
    "Columns": "recsys.data.readers.columns:Columns",
    "ConfigError": "recsys.errors:ConfigError",
    "DataError": "recsys.errors:DataError",
    "Evaluation": "recsys.evaluation.result:Evaluation",
    "Interactions": "recsys.data.interactions:Interactions",
    "NotFittedError": "recsys.errors:NotFittedError",
    "Recommender": "recsys.models.base:Recommender",
    "RecsysError": "recsys.errors:RecsysError",
    "Split": "recsys.data.splits.holdout:Split",
    "compare": "recsys.evaluation.comparison:compare_models",
    "evaluate": "recsys.evaluation.holdout:evaluate",
    "explain": "recsys.explanations.frames:explain_to",
    "from_pandas": "recsys.data.interactions:Interactions.from_pandas",
    "load": "recsys.data.catalogue.datasets:load",
    "load_model": "recsys.experiments.runs:load_model",
    "models": "recsys.models",
    "personas": "recsys.explanations.frames:personas",
    "read": "recsys.data.readers.log:read_log",
    "recommend": "recsys.explanations.frames:recommend",
    "recommend_all": "recsys.explanations.frames:recommend_all",
    "save": "recsys.bundles.bundle:save",
    "similar_items": "recsys.explanations.frames:similar_items",
    "split": "recsys.data.splits.standard:split",
    "train": "recsys.experiments.fitting:train",
}

__all__ = [
    "BundleError",
    "CapabilityError",
    "Columns",
    "ConfigError",
    "DataError",
    "Evaluation",
    "Interactions",
    "NotFittedError",
    "Recommender",
    "RecsysError",
    "Split",
    "compare",
    "evaluate",
    "explain",
    "from_pandas",
    "load",
    "load_model",
    "models",
    "personas",
    "read",
    "recommend",
    "recommend_all",
    "save",
    "similar_items",
    "split",
    "train",
]


if not TYPE_CHECKING:  # which takes any name for granted where a module has a __getattr__

    def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has the name
        if name not in _HOMES:
            raise AttributeError(f"module 'recsys' has no attribute {name!r}")
        module, _, path = _HOMES[name].partition(":")
        value = importlib.import_module(module)
        for attribute in path.split(".") if path else ():
            value = getattr(value, attribute)
        if inspect.isroutine(value):
            value = importlib.import_module("recsys.checks").checking_arguments(value, name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_HOMES})
