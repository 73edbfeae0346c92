"""Loading a model and recommending with it import no training library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from recsys.bundles import bundle
from recsys.data.interactions import Interactions
from recsys.models import AMPCF, IALS, Recommender
from recsys.training.trainable import Optimization

SCRIPT = """
import sys
from recsys.bundles import bundle
from recsys.data.queries import Queries
bundle.load(sys.argv[1]).recommend(Queries.from_history([[0, 1]]), 3)
print([library for library in ("pytorch_lightning", "implicit") if library in sys.modules])
"""


@pytest.mark.parametrize(
    "model", [AMPCF(4, optimization=Optimization(epochs=1)), IALS(4)], ids=lambda model: type(model).__name__
)
def test_loading_and_recommending_import_no_training_library(
    model: Recommender, block_log: Interactions, tmp_path: Path
) -> None:
    bundle.save(model.fit(block_log), tmp_path / "model")
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "model")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
