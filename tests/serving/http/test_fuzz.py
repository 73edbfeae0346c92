"""Bad input: cases that Schemathesis makes of the schema, as `benchmarks.serving.fuzz` asks them, in a small number."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving.fuzz import fuzz_with_tokens


def test_no_input_makes_an_answer_a_defect_or_other_than_the_schema_says(run: Path, tmp_path: Path) -> None:
    known, stranger = fuzz_with_tokens(run, tmp_path, 6, phases="coverage,fuzzing")
    for outcome in (known, stranger):
        assert not outcome.failures, outcome.output
    assert known.cases > 500
    assert known.accepted > 100
    assert 0 < stranger.accepted < 20  # the paths that are open to anybody
