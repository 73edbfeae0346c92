"""Equal budgets, shared static settings, and a report that names what lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.ratings import command as ratings
from benchmarks.tools.differences import Difference
from recsys.data.interactions import Interactions


def rated_log(users: int = 40, events: int = 30) -> Interactions:
    source = np.random.default_rng(0)
    item = np.concatenate([source.permutation(60)[:events] for _ in range(users)])
    day = np.sort(source.integers(0, 300, (users, events)), axis=1).ravel()
    value = np.clip(np.round(3 + source.standard_normal(users * events) + (day > 200)), 1, 5)
    return Interactions.from_columns(np.repeat(np.arange(users), events), item, value, day * 86_400, name="rated")


def test_every_arm_has_as_many_trials_and_families_share_their_static_settings() -> None:
    settings_of = {arm: ratings.candidates(arm, 6) for arm in ratings.ARMS if arm != ratings.MEAN}
    assert {len(settings) for settings in settings_of.values()} == {6}
    for family in ((ratings.STATIC, ratings.TIME), (ratings.NONE, ratings.GLOBAL, ratings.PER_USER)):
        for trials in zip(*(settings_of[arm] for arm in family), strict=True):
            shared = [{name: settings[name] for name in ratings.STATICS[family[0]]} for settings in trials]
            assert all(settings == shared[0] for settings in shared)
    half_lives = [settings["half_life"] for settings in settings_of[ratings.GLOBAL]]
    assert sorted(half_lives) == sorted(ratings.OVER_TIME[ratings.GLOBAL]["half_life"])
    assert all(settings["time_bins"] == 0 for settings in settings_of[ratings.STATIC])


def test_report_names_every_arm_and_every_pair(tmp_path: Path) -> None:
    result = ratings.measure(rated_log(), trials=1, seeds=2)
    assert len(result.outcomes[ratings.TIME].rmse) == 2
    assert len(result.outcomes[ratings.GLOBAL].rmse) == 1
    assert result.outcomes[ratings.BIASES].rmse[0] < 1.2 * result.outcomes[ratings.MEAN].rmse[0]
    table = ratings.comparisons([result])
    assert len(table) == len(ratings.PAIRS)
    assert all(pair.p_holm >= pair.p for pair in table)
    text = ratings.write([result], tmp_path, 1, 2).read_text(encoding="utf-8")
    for arm in ratings.ARMS:
        assert f"| {arm} |" in text
    for own, other in ratings.PAIRS:
        assert f"{own} - {other}" in text


def test_unusable_log_is_reported_as_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ratings.main(["--datasets", "ml-1m-ordered-that-is-not-there", "--out", str(tmp_path)]) == 0
    assert "Not run" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "ml-1m-ordered-that-is-not-there" in capsys.readouterr().out


def test_larger_error_is_a_loss() -> None:
    assert ratings.comparisons([]) == []
    pairs = [
        Difference(
            *("rated", ratings.TIME, ratings.STATIC, "squared_error", diff, 0.1, diff - wide, diff + wide),
            *(diff, p, p, 9),
        )
        for diff, wide, p in ((0.1, 0.05, 0.01), (-0.1, 0.05, 0.01), (-0.1, 0.05, 0.2), (-0.1, 0.2, 0.01))
    ]
    assert [ratings.OUTCOMES[pair.outcome] for pair in pairs] == [
        "**worse**",
        "better",
        "no difference shown",
        "no difference shown",
    ]
