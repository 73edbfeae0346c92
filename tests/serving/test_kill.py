"""Nothing lost: the trials of `benchmarks.serving.kill`, briefly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.serving.kill import TRIALS, Trial, batch_of, compare, main, run_trial
from recsys.events.store import Event, Recorded
from tests.events.store_addresses import OWN_SERVER


@pytest.mark.parametrize(
    "trial", [pytest.param(trial, marks=OWN_SERVER if "postgresql" in trial else ()) for trial in TRIALS]
)
def test_every_confirmed_event_is_there_once_after_kills_under_load(trial: Trial, run: Path, tmp_path: Path) -> None:
    outcome = run_trial(trial, run, tmp_path, times=2)
    assert outcome.is_complete, outcome
    assert outcome.confirmed >= 2 * 20 * 10
    assert outcome.sent_again


def _held() -> list[Recorded]:
    return [Recorded(place, event) for place, event in enumerate(batch_of(0, 0), start=1)]


def _wrong(held: list[Recorded], followed: list[Recorded], shown: dict[str, int] | None = None) -> dict[str, int]:
    confirmed = {event.event_id: event for event in batch_of(0, 0)}
    found = compare(confirmed, held, followed, dict.fromkeys(confirmed, 1) if shown is None else shown)
    return {name: number for name, number in found.items() if number}


def test_losses_duplicates_and_changes_are_detected() -> None:
    held = _held()
    assert _wrong(held, held) == {}
    assert _wrong(held[:-1], held[:-1]) == {"lost": 1}
    doubled = [*held, Recorded(11, held[0].event)]
    assert _wrong(doubled, doubled) == {"doubled": 1}
    altered = [replace(held[0], event=Event("0-0-0", "somebody", "item-0", 0.5, 1_500_000_000)), *held[1:]]
    assert _wrong(altered, altered) == {"altered": 1}
    assert _wrong(held, held[:-1]) == {"reordered": 1}
    gap = [*held[:-1], Recorded(12, held[-1].event)]
    assert _wrong(gap, gap) == {"reordered": 1}
    assert _wrong(held, held, {}) == {"not_shown": 10}


def test_the_command_refuses_unknown_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--store", "oracle"])
    assert "postgresql-server" in capsys.readouterr().err
