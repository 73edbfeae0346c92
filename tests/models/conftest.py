"""Small logs whose right answer is known."""

from __future__ import annotations

import pytest

from recsys.data.interactions import Interactions
from recsys.worlds.blocks import block_log as make_block_log


@pytest.fixture(scope="session")
def block_log() -> Interactions:
    """Two blocks of 12 users and 8 items."""
    return make_block_log()
