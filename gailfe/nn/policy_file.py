"""A policy on disk: its weights and observation statistics (safetensors), and how to build it again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gailfe.nn.categorical import CategoricalPolicy
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.policy import make_policy
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.files import atomic, write_json
from gailfe.storage.names import POLICY_FILES

WEIGHTS, ARCHITECTURE = POLICY_FILES


ITERATION = "iteration"  # in the metadata of the weights


def save_policy(folder: Path, policy: StochasticPolicy, iteration: int | None = None) -> None:
    """Write `policy` to `folder`, with the number of iterations that it was trained for, if that is told."""
    metadata = None if iteration is None else {ITERATION: str(iteration)}
    write_json(folder / ARCHITECTURE, {"kind": policy.kind, **policy.architecture})
    with atomic(folder / WEIGHTS) as partial:
        save_file({name: tensor.contiguous() for name, tensor in policy.state_dict().items()}, partial, metadata)


def load_policy(folder: Path, observation_dim: int, action_space: gymnasium.Space) -> StochasticPolicy:
    """Load what `save_policy` wrote. Raises RuntimeError if it doesn't fit the spaces."""
    return _build(folder, load_file(folder / WEIGHTS), observation_dim, action_space)


def read_policy(folder: Path) -> StochasticPolicy:
    """Load what `save_policy` wrote, for the spaces that it was saved with."""
    weights = load_file(folder / WEIGHTS)
    return _build(
        folder, weights, weights["normalizer.mean"].shape[0], _saved_space(_architecture(folder), weights)
    )


def saved_iteration(folder: Path) -> int | None:
    """Return the number of iterations that `save_policy` was told; None if it was told none."""
    with safe_open(folder / WEIGHTS, "pt") as file:
        found = (file.metadata() or {}).get(ITERATION)
    return None if found is None else int(found)


def _architecture(folder: Path) -> dict[str, Any]:
    """Return how the policy was built; files from before there were several kinds are of a Gaussian one."""
    return {"kind": GaussianPolicy.kind, **json.loads((folder / ARCHITECTURE).read_text())}


def _saved_space(architecture: dict[str, Any], weights: dict[str, Tensor]) -> gymnasium.Space:
    if architecture["kind"] == CategoricalPolicy.kind:
        last_bias = [
            tensor for name, tensor in weights.items() if name.startswith("logits.") and tensor.ndim == 1
        ][-1]
        return Discrete(len(last_bias), start=int(weights["start"]))
    return Box(weights["low"].numpy(), weights["high"].numpy(), dtype=np.float32)


def _build(
    folder: Path, weights: dict[str, Tensor], observation_dim: int, action_space: gymnasium.Space
) -> StochasticPolicy:
    architecture = _architecture(folder)
    policy = make_policy(
        observation_dim,
        action_space,
        architecture["hidden_sizes"],
        log_std_init=0.0,
        generator=torch.Generator(),
        activation=architecture["activation"],
    )
    if policy.kind != architecture["kind"]:
        raise RuntimeError(f"it is a {architecture['kind']} policy, and the actions are {action_space}")
    if isinstance(action_space, Discrete) and int(weights["start"]) != action_space.start:
        raise RuntimeError(f"its actions start at {int(weights['start'])}, and the actions are {action_space}")
    if isinstance(action_space, Box):  # actions are scaled by the space's bounds, which must be those learned with
        low, high = weights["low"].numpy(), weights["high"].numpy()
        if not (np.allclose(low, action_space.low) and np.allclose(high, action_space.high)):
            raise RuntimeError(f"its actions are within {low} and {high}, and the actions are {action_space}")
    policy.load_state_dict(weights)
    return policy
