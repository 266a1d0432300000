"""A few kills and damages of a real sweep; `python -m tests.faults` makes more of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.harness import Harness, against
from faults.sweep import SHORT


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_sweep_that_is_killed_and_damaged_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    log: list[str] = []
    record = Harness(tmp_path, SHORT, seed=0, say=log.append).run(kills=4)
    assert record.passed, "\n".join([*log, *record.differences, *record.left_behind, *record.unexplained])
    assert record.kills.total() == 4
    assert record.runs == 2 * record.rounds
    assert record.rows >= 3 * 10 * record.rounds


@pytest.mark.parametrize(
    ("output", "code", "objection"),
    [
        ("2 jobs, 2 at a time, into runs", 143, ""),
        ("", 143, ""),
        ("", -15, ""),
        ("2 jobs, 2 at a time, into runs", -15, "ended with -15"),
        ("2 jobs, 2 at a time, into runs", 1, "ended with 1"),
        ("2 jobs, 2 at a time, into runs\nTraceback (most recent call last):", 143, "a traceback"),
    ],
)
def test_a_sweep_may_not_end_otherwise_after_sigterm(output: str, code: int, objection: str) -> None:
    said = against(output, code)
    assert objection in said
    assert (said == "") == (objection == "")
