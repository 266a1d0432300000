"""What GAILFE adds to GAIL: β_F, what fills it, and λ_F."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from gailfe.algorithms.failures import FailedPairs, FailureBuffer, FailuresConfig
from gailfe.algorithms.multiplier import Multiplier

log = logging.getLogger(__name__)


class FailedExperience:
    """β_F and λ_F, from the demonstrations' failures on.

    Args:
        config: says which failures count, what is stored of them, and how λ_F moves.
        failed: the demonstrations' failures, each (T, pair_dim): raw observations and unit actions side by side.
        pair_dim: obs_dim + action_dim.
    """

    def __init__(self, config: FailuresConfig, failed: Sequence[Tensor], pair_dim: int) -> None:
        self.config = config
        self.multiplier = Multiplier(config)
        self.buffer = FailureBuffer(config.capacity, pair_dim, config.sampling, config.window, config.max_age)
        if config.source != "own":
            for pairs in failed:
                self.buffer.add(pairs.cpu(), own=False)
        if config.source == "demonstrations" and not failed:
            log.warning(
                "algo.failures.source=demonstrations, but the demonstrations have no failures: this is GAIL"
            )

    def add(self, own: Iterable[Tensor]) -> dict[str, float]:
        """Count an iteration and store the agent's failures in it; returns how many trajectories β_F has then."""
        self.buffer.next_iteration()
        if self.config.source != "demonstrations":
            for pairs in own:
                self.buffer.add(pairs.cpu(), own=True)
        return {"failure_buffer_trajectories": self.buffer.num_trajectories}

    def draw(self, size: int, generator: torch.Generator) -> FailedPairs | None:
        """Draw raw pairs from β_F; None while it is empty."""
        return self.buffer.sample(size, generator) if self.buffer.num_pairs else None

    def move_multiplier(self, of_d: dict[str, float]) -> dict[str, float]:
        """Move λ_F by the slack.

        Args:
            of_d: what `discriminator_step` measured, without log_d_failed while β_F is empty: λ_F then stays.

        Returns:
            lambda_f, as it was during the discriminator's steps, and the slack.
        """
        info = {"lambda_f": self.multiplier.value}
        if "log_d_failed" in of_d:
            info["slack"] = self.multiplier.slack(of_d["log_d_failed"], of_d["log_d_policy"])
            self.multiplier.update(info["slack"])
        return info

    def state_dict(self) -> dict[str, Any]:
        return {"buffer": self.buffer.state_dict(), "lambda_f": self.multiplier.value}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.buffer.load_state_dict(state["buffer"])
        self.multiplier.value = state["lambda_f"]
