"""The interface of a policy for evaluation and stage 2; policies from elsewhere have it too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

# (n, obs_dim), raw → for the environment: (n, action_dim) float32, or (n,) int64 of discrete actions.
Act = Callable[[np.ndarray], np.ndarray]


class CanAct(Protocol):
    """A policy that can be rolled out."""

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """Return a function from raw observations to the actions that the environment receives, within its bounds.

        Args:
            generator: draws the policy's noise; None: the mean action, or the likeliest one of discrete actions.
        """
        ...
