"""Normalises the observations that every network takes.

The caller of a network normalises: once, for all networks that take the same observations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CLIP = 10.0  # standard deviations


class RunningMeanStd(nn.Module):
    """Mean and variance of everything seen so far (Chan et al.'s parallel update), in float64.

    Calling it normalises: (x − mean) / std, clipped to ±CLIP, in float32.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(dim, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def update(self, x: Tensor) -> None:
        """Take in `x` (…, dim)."""
        x = x.reshape(-1, self.mean.shape[0]).double()
        mean, variance = x.mean(0), x.var(0, correction=0)
        total = self.count + len(x)
        delta = mean - self.mean
        old, new = self.count / total, len(x) / total
        self.variance = old * self.variance + new * variance + delta**2 * old * new
        self.mean = self.mean + delta * new
        self.count = total

    def scale(self) -> Tensor:
        """1 / std, (dim,)"""
        return torch.rsqrt(self.variance + 1e-8)

    def forward(self, x: Tensor) -> Tensor:
        return ((x - self.mean) * self.scale()).clamp(-CLIP, CLIP).float()
