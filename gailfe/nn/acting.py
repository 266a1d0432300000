"""All that evaluation and stage 2 ask of a policy, whoever trained it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch

Act = Callable[[np.ndarray], np.ndarray]  # (n, obs_dim), raw → (n, action_dim) float32, for the environment


class CanAct(Protocol):
    """A policy that can be rolled out."""

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """How it acts: raw observations → actions as the environment receives them, within its bounds.

        Args:
            generator: of the policy's own noise; None acts with its mean.
        """
        ...
