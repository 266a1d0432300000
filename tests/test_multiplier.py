"""λ_F against the formulas of its rules."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers import make_failures

from gailfe.algorithms.multiplier import Multiplier


def multiplier(rule: str = "dual", **overrides: Any) -> Multiplier:
    settings = {"z_f": -0.5, "lambda_init": 1.0, "lambda_learning_rate": 0.1, "lambda_max": 5.0, "margin": 0.3}
    return Multiplier(make_failures(rule=rule, **{**settings, **overrides}))


def move(weight: Multiplier, log_d_failed: float, log_d_policy: float = -0.7) -> None:
    weight.update(weight.slack(log_d_failed, log_d_policy))


@pytest.mark.parametrize("log_d_policy", [-3.0, -0.1])
@pytest.mark.parametrize("log_d_failed", [-2.0, -0.5, -0.1, 0.0])
def test_lambda_moves_by_the_slack_of_the_rules_constraint(log_d_failed: float, log_d_policy: float) -> None:
    for rule, threshold in {"dual": -0.5, "dual_floor": -0.5, "relative": log_d_policy + 0.3}.items():
        weight = multiplier(rule)
        assert weight.slack(log_d_failed, log_d_policy) == pytest.approx(log_d_failed - threshold)
        move(weight, log_d_failed, log_d_policy)
        assert weight.value == pytest.approx(1.0 - 0.1 * (log_d_failed - threshold))


@pytest.mark.parametrize("rule", ["dual", "dual_floor"])
def test_lambda_falls_while_the_constraint_holds_and_rises_while_it_is_violated(rule: str) -> None:
    holds, violated = multiplier(rule, z_f=np.log(0.5)), multiplier(rule, z_f=np.log(0.5))
    move(holds, np.log(0.8))
    move(violated, np.log(0.2))
    assert holds.value < 1.0 < violated.value


@pytest.mark.parametrize(("rule", "least"), [("dual", 0.0), ("relative", 0.0), ("dual_floor", 0.2)])
def test_lambda_stays_within_the_rules_bounds(rule: str, least: float) -> None:
    weight = multiplier(rule, lambda_min=0.2, lambda_max=2.0, lambda_learning_rate=0.5)
    for _ in range(100):
        move(weight, -0.01)
        assert weight.value >= least
    assert weight.value == least
    for _ in range(100):
        move(weight, -30.0)
        assert weight.value <= 2.0
    assert weight.value == 2.0
    move(weight, -0.01)
    assert least < weight.value < 2.0  # it comes back from the bound at once


@pytest.mark.parametrize("d", [0.55, 0.9, 0.99])
def test_when_the_agent_imitates_a_failure_the_papers_constraint_goes_slack_and_the_relative_one_does_not(
    d: float,
) -> None:
    dual, relative = multiplier("dual", z_f=np.log(0.5)), multiplier("relative", margin=0.1)
    for weight in (dual, relative):
        for _ in range(200):
            move(weight, log_d_failed=np.log(d), log_d_policy=np.log(d))
    assert dual.value < 0.1
    assert relative.value == pytest.approx(1.0 + 200 * 0.1 * 0.1)


def test_beyond_its_reach_the_relative_constraint_is_the_papers() -> None:
    weight = multiplier("relative", z_f=-0.7, margin=0.1, reach=0.2)
    for log_d_failed, log_d_policy, threshold in (
        (-0.61, -0.4, -0.7),  # out of reach
        (-0.59, -0.4, -0.3),  # within reach
        (-0.1, -0.4, -0.3),
        (-1.0, -0.9, -0.7),  # within reach, and Z_F is the higher one
    ):
        assert weight.threshold(log_d_failed, log_d_policy) == pytest.approx(threshold)
        assert weight.slack(log_d_failed, log_d_policy) == pytest.approx(log_d_failed - threshold)


def test_a_policy_that_is_far_from_imitating_the_failures_does_not_raise_lambda() -> None:
    within, without = (multiplier("relative", z_f=-0.7, margin=0.1, reach=reach) for reach in (0.2, None))
    for weight in (within, without):
        for _ in range(200):
            move(weight, log_d_failed=-0.5, log_d_policy=-0.1)
    assert within.value == 0
    assert without.value > 1.0


@pytest.mark.parametrize(
    ("rule", "overrides"),
    [
        ("fixed", {}),
        ("fixed", {"lambda_max": 0.1, "lambda_init": 0.7}),
        *((rule, {"lambda_learning_rate": 0.0}) for rule in ("dual", "dual_floor", "relative")),
    ],
)
def test_a_fixed_lambda_and_one_without_a_learning_rate_are_constant(rule: str, overrides: dict[str, Any]) -> None:
    weight = multiplier(rule, **{"lambda_init": 0.7, **overrides})
    for log_d_failed in (-10.0, -0.5, 0.0):
        move(weight, log_d_failed)
    assert weight.value == 0.7


@pytest.mark.parametrize(
    ("rule", "unused"),
    [
        ("dual", {"lambda_min": 3.0, "margin": 9.0, "reach": 0.0}),
        (
            "fixed",
            {"lambda_min": 3.0, "margin": 9.0, "reach": 0.0, "lambda_learning_rate": 7.0, "lambda_max": 0.0},
        ),
        ("dual_floor", {"margin": 9.0, "reach": 0.0}),
        ("relative", {"z_f": -9.0, "lambda_min": 3.0}),
    ],
)
def test_keys_that_a_rule_does_not_use_have_no_effect(rule: str, unused: dict[str, float]) -> None:
    plain, other = multiplier(rule), multiplier(rule, **unused)
    other.config.check()
    for log_d_failed, log_d_policy in ((-0.1, -0.6), (-0.2, -0.3), (-2.0, -0.1)):
        assert plain.slack(log_d_failed, log_d_policy) == other.slack(log_d_failed, log_d_policy)
        move(plain, log_d_failed, log_d_policy)
        move(other, log_d_failed, log_d_policy)
        assert plain.value == other.value
