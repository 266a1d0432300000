"""What GAIL and GAILFE measure, and how W&B groups it."""

from __future__ import annotations

import torch
from torch import Tensor

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

SAMPLES = 1024  # pairs that show how D is distributed


def evenly_spaced(count: int) -> Tensor:
    """Return the numbers of at most SAMPLES of `count` rows; no random number is drawn for it."""
    size = min(count, SAMPLES)
    return torch.arange(size) * count // max(1, size)
