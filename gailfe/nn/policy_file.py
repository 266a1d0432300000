"""A policy on disk: its weights and observation statistics (safetensors), and how to build it again."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from gymnasium.spaces import Box
from safetensors.torch import load_file, save_file

from gailfe.nn.policy import GaussianPolicy
from gailfe.storage.files import atomic, write_json
from gailfe.storage.names import POLICY_FILES

WEIGHTS, ARCHITECTURE = POLICY_FILES


def save_policy(folder: Path, policy: GaussianPolicy) -> None:
    """Write `policy` to `folder`."""
    write_json(folder / ARCHITECTURE, policy.architecture)
    with atomic(folder / WEIGHTS) as partial:
        save_file({name: tensor.contiguous() for name, tensor in policy.state_dict().items()}, partial)


def load_policy(folder: Path, observation_dim: int, action_space: Box) -> GaussianPolicy:
    """Load what `save_policy` wrote. Raises RuntimeError if the shapes don't fit the spaces."""
    architecture = json.loads((folder / ARCHITECTURE).read_text())
    policy = GaussianPolicy(
        observation_dim,
        action_space,
        architecture["hidden_sizes"],
        log_std_init=0.0,
        generator=torch.Generator(),
        activation=architecture["activation"],
    )
    policy.load_state_dict(load_file(folder / WEIGHTS))
    return policy
