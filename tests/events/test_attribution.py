"""Which model's lists are clicked more: rates over users, against draws whose truth is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from recsys.cli.main import main
from recsys.events.addresses import open_store
from recsys.events.impressions.attribution import attribution
from recsys.events.impressions.records import Impression
from recsys.events.memory import MemoryStore
from recsys.events.store import EventStore


def _fill(store: EventStore, seed: int, beside: float, users: int = 120) -> None:
    """Show lists of five to users with tastes of their own; the model beside is clicked more or less often."""
    draw = np.random.default_rng(seed)
    shown, clicks = [], []
    for user in range(users):
        variant = "beside" if user % 3 == 0 else "main"
        rate = draw.beta(2, 8) * (beside if variant == "beside" else 1.0)
        for number in range(1 + user % 4):
            name = f"{user:08x}{number:08x}-{variant}-{variant[0]}1"
            for position in range(1, 6):
                one = Impression(f"u{user}", name, f"i{position}", position, 100)
                shown.append(one)
                if draw.random() < rate:
                    clicks.append(one)
    store.put_impressions(shown)
    for one in clicks:
        store.put_click(one.user_id, one.recommendation_id, one.item_id, 110)


def test_the_interval_of_the_difference_holds_what_it_promises() -> None:
    held, found = 0, []
    for seed in range(60):
        store = MemoryStore()
        _fill(store, seed, 1.0)
        by = attribution(store).difference
        assert by is not None
        held += by.low <= 0 <= by.high
        found.append(by.difference)
    assert held >= 50  # 57 of 60 expected, fewer than 50 once in 2,000
    assert abs(np.mean(found)) < 0.02


def test_a_model_that_is_clicked_twice_as_often_is_seen() -> None:
    store = MemoryStore()
    _fill(store, 1, 2.0, users=600)
    told = attribution(store)
    assert told.difference is not None
    assert told.difference.low > 0
    assert (told.difference.beside, told.difference.main) == ("b1", "m1")
    first = told.rates[0]
    assert (first.variant, first.users) == ("main", 400)
    assert first.rate == first.clicks / first.impressions
    assert sum(one.impressions for one in told.positions) == sum(one.impressions for one in told.rates)
    assert {one.position for one in told.positions} == {1, 2, 3, 4, 5}


def test_the_rate_has_the_variance_of_the_delta_method() -> None:
    store = MemoryStore()
    _fill(store, 3, 1.0)
    rate = next(one for one in attribution(store).rates if one.variant == "main")
    own = [one for one in store.clicks_by_user() if one.variant == "main"]
    draw = np.random.default_rng(0)
    clicks, shown = (np.asarray([getattr(one, name) for one in own]) for name in ("clicks", "impressions"))
    again = draw.integers(0, len(own), (4000, len(own)))
    deviation = (clicks[again].sum(1) / shown[again].sum(1)).std()
    assert rate.low is not None
    assert (rate.rate - rate.low) / 1.96 == pytest.approx(deviation, rel=0.05)


def test_nothing_is_told_of_too_few_users() -> None:
    store = MemoryStore()
    assert attribution(store).rates == ()
    store.put_impressions([Impression("ada", "0123456789abcdef-main-m1", "i", 1, 5)])
    (rate,) = attribution(store).rates
    assert (rate.rate, rate.low, rate.high, attribution(store).difference) == (0.0, None, None, None)


def test_the_command_tells_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address = str(tmp_path / "events.db")
    with open_store(address) as store:
        _fill(store, 1, 2.0)
        told = attribution(store)
    assert main(["attribution", "--events", address, "--json"]) == 0
    assert told.difference is not None
    assert json.loads(capsys.readouterr().out)["difference"]["difference"] == told.difference.difference
    assert main(["attribution", "--events", address]) == 0
    text = capsys.readouterr().out
    assert f"beside less main: {told.difference.difference:+.4f} (95%: " in text
    assert "main m1, position 5: " in text
