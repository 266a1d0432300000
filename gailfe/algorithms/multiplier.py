"""λ_F, the multiplier of GAILFE's constraint on the discriminator, and the rules by which it can move."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gailfe.config.keys import FINITE, NOT_NEGATIVE, POSITIVE, ConfigError, Valid, key, one_of

LOG_PROBABILITY = Valid(lambda value: -math.inf < value <= 0, "a log-probability (at most 0)")
RULE = one_of("dual", "fixed", "dual_floor", "relative")


@dataclass
class MultiplierConfig:
    """Keys of `algo.failures` that say how λ_F moves. A key that the rule does not use has no effect."""

    rule: str = key("how λ_F moves", RULE)
    z_f: float = key("Z_F of the constraint E_βF[log D] > Z_F (relative: with a reach only)", LOG_PROBABILITY)
    margin: float = key("how far E_βF[log D] must lie above E_π[log D] [nats] (relative)", FINITE)
    reach: float | None = key(
        "how far E_βF[log D] may lie below E_π[log D]; beyond, Z_F is the threshold [nats] (relative); null: any",
        NOT_NEGATIVE,
    )
    lambda_init: float = key("λ_F at the start", NOT_NEGATIVE)
    lambda_learning_rate: float = key("η, the step size of λ_F; 0 holds λ_F (not fixed)", NOT_NEGATIVE)
    lambda_min: float = key("λ_F's lower bound (dual_floor)", POSITIVE)
    lambda_max: float = key("λ_F's upper bound (not fixed)", NOT_NEGATIVE)

    def bounds(self) -> tuple[float, float]:
        """Return the range in which the rule keeps λ_F."""
        if self.rule == "fixed":
            return self.lambda_init, self.lambda_init
        return (self.lambda_min if self.rule == "dual_floor" else 0.0), self.lambda_max

    def check(self) -> None:
        """Raise ConfigError where λ_F would begin outside the rule's bounds."""
        low, high = self.bounds()
        for bound, is_kept, words in (
            (f"lambda_max={high}", self.lambda_init <= high, "at most"),
            (f"lambda_min={low}", self.lambda_init >= low, "at least"),
        ):
            if not is_kept:
                raise ConfigError(
                    f"algo.failures.lambda_init={self.lambda_init} must be {words} algo.failures.{bound} "
                    f"with algo.failures.rule={self.rule}"
                )


class Multiplier:
    """λ_F ≥ 0 of the constraint E_βF[log D] > threshold, moved by projected dual descent.

    The Lagrangian is affine in λ_F. Its slope is the slack E_βF[log D] − threshold, and λ_F minimises it: λ_F
    falls while the constraint holds and rises while it is violated,

        λ_F ← clip(λ_F − η·(E_βF[log D] − threshold), low, high).

    The rules differ in the threshold and the bounds:

        rule        threshold            low          high
        dual        Z_F                  0            lambda_max    equation (4)
        dual_floor  Z_F                  lambda_min   lambda_max    the failures always keep some weight
        relative    E_π[log D] + margin  0            lambda_max    see below
        fixed       Z_F                  lambda_init  lambda_init   a constant weight: Z_F has no effect

    With Z_F as the threshold, the constraint also holds when the agent imitates a failure: D is then high on the
    policy's pairs and so on the failed ones. With `relative` the slack is then −margin, and λ_F rises.

    A policy that is much farther from the expert than the failures are does not imitate them. So where E_βF[log D]
    lies more than `reach` below E_π[log D], Z_F is the threshold of `relative` too; within reach, it is the higher
    of the two. Without a reach, λ_F grows from the first iteration on, when every failure looks more like the
    expert than the policy does.

    The threshold is a constant in the gradient on ω. This matters for `relative` alone: as a part of the gradient,
    it would give E_π[log D] the weight 1 − λ_F, and beyond λ_F = 1 the objective has no maximum.
    """

    def __init__(self, config: MultiplierConfig) -> None:
        self.config = config
        self.value = config.lambda_init

    def threshold(self, log_d_failed: float, log_d_policy: float) -> float:
        """Return what E_βF[log D] has to exceed.

        Args:
            log_d_failed: E_βF[log D].
            log_d_policy: E_π[log D].
        """
        config = self.config
        if config.rule != "relative":
            return config.z_f
        relative = log_d_policy + config.margin
        if config.reach is None:
            return relative
        return max(config.z_f, relative) if log_d_failed >= log_d_policy - config.reach else config.z_f

    def slack(self, log_d_failed: float, log_d_policy: float) -> float:
        """Return by how much the rule's constraint holds (> 0) or is violated (< 0) [nats].

        Args:
            log_d_failed: E_βF[log D].
            log_d_policy: E_π[log D].
        """
        return log_d_failed - self.threshold(log_d_failed, log_d_policy)

    def update(self, slack: float) -> None:
        """Move λ_F by the constraint's slack."""
        low, high = self.config.bounds()
        moved = self.value - self.config.lambda_learning_rate * slack
        self.value = min(max(moved, low), high)
