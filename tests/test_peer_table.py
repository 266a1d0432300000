"""The page of `python -m benchmarks.peers`: what its tables say of measurements."""

from __future__ import annotations

import math

from peer_rows import imitated, row

from benchmarks.measurements import between
from benchmarks.peer_table import page, records


def test_ratio_is_taken_within_a_round() -> None:
    rates = {0: (1000.0, 100.0), 1: (500.0, 50.0), 2: (900.0, 30.0)}  # a busy machine slowed round 1 down
    rows = [row("gail", "gailfe", r, steps_per_s=a, learning_steps_per_s=2 * a) for r, (a, _) in rates.items()]
    rows += [row("gail", "imitation", r, steps_per_s=b, env_id="Hopper-v4") for r, (_, b) in rates.items()]
    rows.insert(0, row("gail", "imitation", 0, steps_per_s=1.0) | {"commit": "of another time"})
    table = page(rows)
    assert "| Hopper-v5 | gailfe | 900 (500–1,000) |  |  | 100 | 3 |" in table
    assert "| Hopper-v5 | gailfe, learning alone | 1,800 (1,000–2,000) |" in table
    assert "| Hopper-v4 | imitation | 50 (30–100) | 10.00 (10.00–30.00) | 20.00 (20.00–60.00) | 100 | 3 |" in table
    assert "Commit abc1234; A Processor" in table
    assert "part=ppo" not in table


def test_return_that_was_not_reached_took_forever() -> None:
    rows = [row("ppo", "gailfe", s, reached=s < 3, seconds=10.0 + s, env_steps=1000) for s in range(4)]
    rows += [row("ppo", "sb3", s, reached=s == 0, seconds=30.0, env_steps=9000) for s in range(4)]
    table = page(rows)
    assert "| gailfe | 3 of 4 | 12 (10–∞) |  | 1,000 (1,000–∞) | 1,000,000 |" in table
    assert "| sb3 | 1 of 4 | ∞ (30–∞) | ∞ (3.00–∞) | ∞ (9,000–∞) | 1,000,000 |" in table


def test_seed_that_was_stopped_bounds_what_is_told() -> None:
    rows = imitated("gailfe", [10.0, 20.0, 30.0], [True] * 3)
    rows += imitated("imitation", [90.0, 80.0, 70.0], [True, False, False])
    rows += imitated("torchrl", [50.0, 60.0, 900.0], [True, True, False])
    table = page(rows)
    assert "| gailfe | 3 of 3 | 20 (10–30) |  | 20,000 (10,000–30,000) | 1,000,000 |" in table
    assert "| imitation | 1 of 3 | > 80 (> 70–> 90) | > 4.00 (> 2.33–> 9.00) |" in table
    assert "| torchrl | 2 of 3 | 60 (50–> 900) | 5.00 (3.00–> 30.00) |" in table
    _, imitation, torchrl = records(rows)
    assert (imitation["n_seeds"], imitation["n_censored"], imitation["ratio_of_medians"]) == (3, 2, 4.0)
    assert (torchrl["seconds_median"], torchrl["seconds_max"]) == (60.0, 900.0)


def test_bounds_are_shown_only_where_they_matter() -> None:
    assert between([(1, 1), (2, math.inf), (9, 9)], ".0f") == "> 2 (1–> 9)"
    assert between([(1, 1), (2, 2), (9, math.inf)], ".0f") == "2 (1–> 9)"
    assert between([(0, 4.0)], ".0f") == "< 4"


def test_table_has_no_infinity_of_nothing() -> None:
    rows = [row("ppo", peer, 0, reached=False, seconds=9.0, env_steps=10) for peer in ("gailfe", "sb3")]
    table = page(rows)
    assert "| sb3 | 0 of 1 | ∞ |  | ∞ |" in table
    assert str(math.inf) not in table
