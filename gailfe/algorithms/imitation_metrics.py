"""What GAIL and GAILFE measure, how W&B groups it, and what it says of a training that stands still."""

from __future__ import annotations

import torch
from torch import Tensor

from gailfe.algorithms.learner import Standstill

OF_D = (
    *("d_policy", "d_expert", "d_failed"),
    *("log_d_policy", "log_d_failed", "log_d_failed_demonstrations", "log_d_failed_own"),
)
OF_FAILURES = ("lambda_f", "slack", "failure_buffer_trajectories", "failed_episodes")
OF_POLICY = ("kl", "entropy", "surrogate_improvement", "backtracks", "clip_fraction")

METRICS = (*OF_D, *OF_FAILURES, *OF_POLICY, "value_loss", "discriminator_loss", "reward_mean")
SECTIONS = {
    "discriminator": (*OF_D, "discriminator_loss", "reward_mean"),
    "failures": OF_FAILURES,
    "policy": (*OF_POLICY, "value_loss"),
}

NOTE = {"lambda_f": "λ_F", "d_policy": "D(π)"}
STANDSTILLS = [
    Standstill(
        # What trpo_step tells when no step of its line search was taken.
        lambda row: row.get("kl") == 0 and row.get("surrogate_improvement") == 0,
        "the policy has not moved: every line search failed. Try a smaller algo.trpo.max_kl, a larger "
        "algo.trpo.cg_damping, or more algo.trpo.max_backtracks",
    ),
    Standstill(
        # D can't be more wrong about one pair in a thousand: the reward hardly tells one pair from another.
        lambda row: row.get("d_policy", 0.5) > 0.999 and row.get("d_expert", 0.5) < 0.001,
        "the discriminator is saturated: it tells policy and expert apart without a doubt, which leaves no reward "
        "to learn from. Try a smaller algo.discriminator.learning_rate, fewer algo.discriminator.updates, or a "
        "larger algo.discriminator.gradient_penalty",
    ),
]

SAMPLES = 1024  # pairs that show how D is distributed


def evenly_spaced(count: int) -> Tensor:
    """Return the numbers of at most SAMPLES of `count` rows; no random number is drawn for it."""
    size = min(count, SAMPLES)
    return torch.arange(size) * count // max(1, size)
