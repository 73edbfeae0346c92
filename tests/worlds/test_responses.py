"""The world of answers: shares, repeats and what each class follows."""

from __future__ import annotations

import numpy as np
import pytest

from recsys.errors import ConfigError
from recsys.worlds.responses import CONSTRUCTED, GENUINE, NON_ATTITUDE, answer_world


def test_classes_have_their_shares_and_follow_what_they_should() -> None:
    world = answer_world(1.0, users=400, items=100, pairs=40)
    pair = world.user.astype(np.int64) * 100 + world.item
    first = np.unique(pair, return_index=True)[1]
    share = np.bincount(world.kind[first], minlength=3) / len(first)
    np.testing.assert_allclose(share, (0.65, 0.20, 0.15), atol=0.03)
    mind = world.theta[world.user, world.item]

    def follows(kind: int, what: np.ndarray) -> float:
        of = world.kind == kind
        return float(np.corrcoef(world.value[of], what[of])[0, 1])

    assert follows(GENUINE, mind) > 0.7 > 0.1 > abs(follows(GENUINE, world.anchor))
    assert follows(CONSTRUCTED, world.anchor) > 0.7
    assert abs(follows(NON_ATTITUDE, world.anchor)) < 0.1
    counts = np.bincount(np.unique(pair, return_inverse=True)[1])
    assert set(counts) == {2, 3}
    assert (counts == 3).mean() == pytest.approx(0.3, abs=0.02)
    assert set(np.unique(world.value)) == {1, 2, 3, 4, 5}


def test_variants_move_preferences_and_turn_minds() -> None:
    shown = answer_world(1.0, users=200, items=80, variant="preferences")
    genuine = shown.kind == GENUINE
    assert np.corrcoef(shown.value[genuine], shown.anchor[genuine])[0, 1] > 0.2
    changed, plain = (answer_world(1.0, users=200, items=80, variant=variant) for variant in ("changes", "answers"))
    assert not np.array_equal(changed.value, plain.value)
    np.testing.assert_array_equal(changed.theta, plain.theta)


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(ConfigError, match="repeats is 2"):
        answer_world(2.0)
    with pytest.raises(ConfigError, match="anchors is"):
        answer_world(anchors=())
    with pytest.raises(ConfigError, match="variant is 'change'"):
        answer_world(variant="change")  # type: ignore[arg-type]
