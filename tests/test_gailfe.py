"""What GAILFE adds to GAIL in an iteration: which failures β_F holds, and how λ_F moves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers import (
    EXPERT,
    FAILED,
    assert_same_tensors,
    gailfe_config,
    make_algo,
    make_failures,
    make_imitator,
)

from gailfe.envs.trajectory import Trajectory


def test_without_failures_gailfe_is_gail_bit_for_bit_until_the_first_one_arrives() -> None:
    flag = [False]
    plain = make_imitator(make_algo(), annotator=lambda trajectory: flag[0])
    ours = make_imitator(gailfe_config(), annotator=lambda trajectory: flag[0])
    for _ in range(3):
        shared = plain.iterate()
        metrics = ours.iterate()
        assert {key: metrics[key] for key in shared} == shared
        assert metrics["lambda_f"] == make_failures().lambda_init
        assert "log_d_failed" not in metrics
        weights, others = plain.discriminator.state_dict(), ours.discriminator.state_dict()
        assert_same_tensors(weights, others)
        assert_same_tensors(plain.policy.state_dict(), ours.policy.state_dict())
    flag[0] = True
    plain.iterate()
    metrics = ours.iterate()
    assert metrics["failed_episodes"] > 0
    assert "log_d_failed" in metrics
    weights, others = plain.discriminator.state_dict(), ours.discriminator.state_dict()
    assert not all(torch.equal(weights[key], others[key]) for key in weights)


@pytest.mark.parametrize("rule", ["dual", "relative"])
def test_lambda_f_is_logged_as_used_and_moves_by_the_logged_slack(rule: str) -> None:
    settings = make_failures(rule=rule, z_f=-0.2, margin=0.4, lambda_learning_rate=0.1)
    imitator = make_imitator(make_algo(settings), failed=FAILED)
    rows = [imitator.iterate() for _ in range(4)]
    assert rows[0]["lambda_f"] == settings.lambda_init
    for row, after in pairwise(rows):
        threshold = row["log_d_policy"] + 0.4 if rule == "relative" else -0.2
        assert row["slack"] == pytest.approx(row["log_d_failed"] - threshold)
        assert after["lambda_f"] == pytest.approx(row["lambda_f"] - 0.1 * row["slack"])


@pytest.mark.parametrize("source", ["demonstrations", "own", "both"])
def test_beta_f_takes_the_failures_of_its_source_and_log_d_is_reported_by_source(source: str) -> None:
    imitator = make_imitator(make_algo(make_failures(source=source)), failed=FAILED)
    rows = [imitator.iterate() for _ in range(3)]
    own = sum(int(row["failed_episodes"]) for row in rows)
    assert own > 0  # they are counted, whether β_F takes them or not
    given = len(FAILED) if source != "own" else 0
    taken = own if source != "demonstrations" else 0
    assert rows[-1]["failure_buffer_trajectories"] == given + taken
    assert ("log_d_failed_demonstrations" in rows[-1]) is (source != "own")
    assert ("log_d_failed_own" in rows[-1]) is (source != "demonstrations")


def test_demonstrations_without_failures_as_the_only_source_are_gail_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = make_imitator(make_algo())
    ours = make_imitator(make_algo(make_failures(source="demonstrations")))
    assert "algo.failures.source=demonstrations" in caplog.text
    for _ in range(2):
        shared, metrics = plain.iterate(), ours.iterate()
        assert metrics["failed_episodes"] > 0
        assert {key: metrics[key] for key in shared} == shared


def test_own_failures_are_forgotten_after_max_age_iterations() -> None:
    imitator = make_imitator(make_algo(make_failures(max_age=2)), failed=FAILED)
    rows = [imitator.iterate() for _ in range(5)]
    failed = [int(row["failed_episodes"]) for row in rows]
    held = [row["failure_buffer_trajectories"] for row in rows]
    assert held == [len(FAILED) + sum(failed[max(0, i - 1) : i + 1]) for i in range(5)]


def test_gail_counts_failed_episodes_and_has_no_metrics_of_beta_f() -> None:
    metrics = make_imitator(make_algo(), failed=FAILED).iterate()
    of_failures = {"lambda_f", "d_failed", "log_d_failed", "failure_buffer_trajectories"}
    assert metrics["failed_episodes"] >= 0
    assert not of_failures & metrics.keys()
    assert of_failures <= make_imitator(gailfe_config(), failed=FAILED).iterate().keys()


@pytest.mark.parametrize("capacity", [50, 6])
def test_the_buffer_receives_exactly_the_trajectories_that_the_annotator_flags(capacity: int) -> None:
    finished: list[Trajectory] = []

    def annotate(trajectory: Trajectory) -> bool:
        finished.append(trajectory)
        return len(trajectory) % 2 == 0

    imitator = make_imitator(gailfe_config(capacity), failed=FAILED, annotator=annotate)
    flagged = 0
    for _ in range(3):
        before = len(finished)
        metrics = imitator.iterate()
        assert metrics["episodes"] == len(finished) - before
        assert metrics["failed_episodes"] == sum(len(t) % 2 == 0 for t in finished[before:])
        flagged += int(metrics["failed_episodes"])
        assert metrics["failure_buffer_trajectories"] == min(capacity, len(FAILED) + flagged)
    assert 3 < flagged < len(finished)
    failures = [*FAILED, *(t for t in finished if len(t) % 2 == 0)][-capacity:]
    expected = [np.concatenate([t.observations[:-1], t.actions], axis=1) for t in failures]  # bounds are ±1
    assert imitator.failed is not None
    assert np.array_equal(imitator.failed.buffer.pairs().numpy(), np.concatenate(expected).astype(np.float32))


@pytest.mark.parametrize(("window", "kept"), [(None, 30), (5, 5), (100, 30)])
def test_the_window_keeps_only_the_steps_before_the_end(window: int | None, kept: int) -> None:
    config = gailfe_config()
    assert config.failures is not None
    config.failures.window = window
    long = next(trajectory for trajectory in EXPERT if len(trajectory) >= 30)
    failed = Trajectory(long.observations[:31], long.actions[:30], long.rewards[:30], True, False)
    imitator = make_imitator(config, failed=[failed])
    assert imitator.failed is not None
    stored = imitator.failed.buffer.pairs()
    assert len(stored) == kept
    last = torch.as_tensor(failed.observations[-2]).float()
    torch.testing.assert_close(stored[-1, : len(last)], last)
