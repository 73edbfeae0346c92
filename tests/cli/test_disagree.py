"""`recsys disagree`: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_tables_and_json_of_both_protocols(call: Call, runs: dict[str, Path]) -> None:
    for protocol in ("masked", "held_out"):
        asked = ("disagree", "--run", runs["ease"], "--protocol", protocol, "--raters", 5)
        code, out, _ = call(*asked)
        assert code == 0
        assert "minority right" in out
        assert "one rule for all" in out
        code, out, _ = call(*asked, "--json")
        told = json.loads(out)
        assert (code, told["protocol"], len(told["bins"])) == (0, protocol, 6)
        assert (told["bins"][0]["bound"] is None) == (protocol == "held_out")


def test_models_without_fold_in_are_refused(call: Call, runs: dict[str, Path]) -> None:
    code, _, told = call("disagree", "--run", runs["popularity"])
    assert code == 2
    assert "Popularity cannot fold in a history, which the protocol 'masked' needs" in told
