"""Discriminators of five inputs, pairs for them, and how they are trained."""

from __future__ import annotations

from dataclasses import replace

import torch
from helpers import GAIL, make_failures, seeded
from torch import Tensor

from gailfe.algorithms.discriminator import Discriminator, discriminator_step
from gailfe.algorithms.failures import FailedPairs
from gailfe.algorithms.multiplier import Multiplier

Z_F = -0.6931


def make(hidden: list[int] | None = None, seed: int = 0) -> Discriminator:
    config = replace(GAIL.discriminator, gradient_penalty=0.0, hidden_sizes=[16] if hidden is None else hidden)
    return Discriminator(3, 2, config, seeded(seed))


def pairs(shift: float, seed: int, rows: int = 256) -> Tensor:
    return shift + 0.5 * torch.randn(rows, 5, generator=seeded(seed))


def batch(failed: Tensor) -> FailedPairs:
    """Failed pairs, the second half of them the agent's own."""
    return FailedPairs(failed, torch.arange(len(failed)) >= len(failed) // 2)


def held(lambda_f: float) -> Multiplier:
    return Multiplier(make_failures(rule="fixed", z_f=Z_F, lambda_init=lambda_f))


def train(
    discriminator: Discriminator,
    policy: Tensor,
    expert: Tensor,
    failed: Tensor | None = None,
    lambda_f: float = 0.0,
    steps: int = 150,
    **config: float,
) -> dict[str, float]:
    settings = replace(GAIL.discriminator, **{"logit_entropy": 0.0, "gradient_penalty": 0.0, **config})  # type: ignore[arg-type]
    optimizer = torch.optim.Adam(discriminator.parameters(), lr=0.01)
    for _ in range(steps):
        info = discriminator_step(
            discriminator,
            optimizer,
            policy,
            expert,
            None if failed is None else batch(failed),
            held(lambda_f),
            settings,
            seeded(0),
        )
    return info
