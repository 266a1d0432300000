"""State-action pairs of trajectories, in the form in which algorithms learn from them."""

from __future__ import annotations

import torch
from torch import Tensor

from gailfe.envs.trajectory import Trajectory
from gailfe.nn.stochastic import StochasticPolicy


def state_action_pairs(trajectory: Trajectory, policy: StochasticPolicy) -> tuple[Tensor, Tensor]:
    """Raw observations (T, obs_dim) and unit actions (T, action_dim) of a trajectory, on the policy's device."""
    observations, actions = (
        torch.as_tensor(array).float().to(policy.device)
        for array in (trajectory.observations[:-1], trajectory.actions)
    )
    return observations, policy.to_unit(actions)
