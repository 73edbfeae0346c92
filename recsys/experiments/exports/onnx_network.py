"""Writes the network that scores as ONNX, and checks it against the model in onnxruntime."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch

from recsys.data.queries import Queries
from recsys.errors import BundleError
from recsys.explanations.padded import PaddedHistory
from recsys.models.base import Recommender
from recsys.models.capabilities import ScoringNetwork
from recsys.types import Floats

_TOLERANCE: Final = 1e-4
"""Largest difference of a score, relative to the largest score: sums are in another order."""

_OPSET: Final = 18
_MOST_BYTES: Final = 1_900_000_000
"""Constants of a file of ONNX: its format ends at two gigabytes."""


def inputs_of(model: Recommender, queries: Queries) -> dict[str, npt.NDArray[Any]]:
    """Return what the network reads of some queries, by the name of the input."""
    assert isinstance(model, ScoringNetwork)
    if not model.folds_in:
        return {"users": queries.users.astype(np.int64)}
    history = PaddedHistory.of(queries)
    weights = history.gather(model.network_weights(queries), 0.0)
    return {"items": history.items.astype(np.int64), "weights": np.asarray(weights, np.float32)}


def write_network(model: Recommender, path: Path, queries: Queries, facts: dict[str, str]) -> dict[str, Any]:
    """Write the network of a model; return the shapes of its inputs and outputs, and the largest difference found.

    Args:
        model: fitted; a `ScoringNetwork`.
        path: the .onnx file.
        queries: at least two, with histories, whose scores are compared.
        facts: recorded in the file.

    Raises:
        BundleError: the file does not give the scores of the model, or would be larger than ONNX allows.
    """
    assert isinstance(model, ScoringNetwork)
    network = model.scoring_network().eval().cpu()
    size = sum(part.numel() * part.element_size() for part in (*network.parameters(), *network.buffers()))
    if size > _MOST_BYTES:
        raise BundleError(f"the network has {size / 1e9:.1f} GB of constants, and ONNX allows 2; export without it")
    given = inputs_of(model, queries)
    _export(network, tuple(torch.from_numpy(value[:2]) for value in given.values()), list(given), path)
    file = onnx.load(str(path))
    onnx.helper.set_model_props(file, facts)
    onnx.checker.check_model(file)
    onnx.save(file, str(path))
    difference = _difference(path, model, queries, given)
    if not difference <= _TOLERANCE:
        raise BundleError(
            f"{path}: onnxruntime gives scores that differ from the model's by {difference:.1e} of the largest; this "
            "is a defect of the export: report it"
        )
    return {
        "inputs": {name: ["queries", "length"][: value.ndim] for name, value in given.items()},
        "outputs": {"scores": ["queries", "items"]},
        "largest_difference": difference,
    }


def _export(network: torch.nn.Module, arguments: tuple[torch.Tensor, ...], names: list[str], path: Path) -> None:
    queries = torch.export.Dim("queries", min=1)
    axes = {0: queries} if names == ["users"] else {0: queries, 1: torch.export.Dim("length", min=1)}
    loud = logging.getLogger("torch.onnx").level
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporter on itself
            torch.onnx.export(
                network,
                arguments,
                str(path),
                input_names=names,
                output_names=["scores"],
                dynamic_shapes=tuple(axes for _ in names),
                opset_version=_OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    finally:
        logging.getLogger("torch.onnx").setLevel(loud)


def scores_of(path: Path, given: dict[str, npt.NDArray[Any]]) -> Floats:
    """Return the scores that onnxruntime gives, "queries items"."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["scores"], given)[0])


def _difference(path: Path, model: Recommender, queries: Queries, given: dict[str, npt.NDArray[Any]]) -> float:
    with torch.inference_mode():
        expected = model.score(queries).float().cpu().numpy()
    found = scores_of(path, given)
    return float(np.abs(found - expected).max() / max(1e-12, float(np.abs(expected).max())))
