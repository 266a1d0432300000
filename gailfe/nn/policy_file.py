"""A policy on disk: its weights and observation statistics (safetensors), and how to build it again."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from gailfe.nn.categorical import CategoricalPolicy
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.policy import make_policy
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.storage.files import atomic, write_json
from gailfe.storage.names import POLICY_FILES
from gailfe.storage.store import ArtifactError

WEIGHTS, ARCHITECTURE = POLICY_FILES

# Keys of the weights' metadata. There is one of them: safetensors would write several in any order.
ABOUT = "gailfe"  # JSON of the next two
ITERATION = "iteration"  # a key of its own in files from before there were checksums
CHECKSUM = "sha256"  # of the weights, the architecture and the iteration


class _Saved(NamedTuple):
    """What both files hold."""

    weights: dict[str, Tensor]
    architecture: dict[str, Any]
    iteration: int | None


def save_policy(folder: Path, policy: StochasticPolicy, iteration: int | None = None) -> None:
    """Write `policy` to `folder`, with the number of iterations that it was trained for, if that is told."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in policy.state_dict().items()}
    saved = _Saved(weights, {"kind": policy.kind, **policy.architecture}, iteration)
    about = {ITERATION: iteration, CHECKSUM: _checksum(saved)}
    write_json(folder / ARCHITECTURE, saved.architecture)
    with atomic(folder / WEIGHTS) as partial:
        save_file(weights, partial, {ABOUT: json.dumps(about)})


def load_policy(folder: Path, observation_dim: int, action_space: gymnasium.Space) -> StochasticPolicy:
    """Load what `save_policy` wrote.

    Raises:
        ArtifactError: naming the file that is missing or damaged; or if the policy doesn't fit the spaces.
    """
    return _build(folder, _read(folder), observation_dim, action_space)


def read_policy(folder: Path) -> StochasticPolicy:
    """Load what `save_policy` wrote, for the spaces that it was saved with. Raises as `load_policy`."""
    saved = _read(folder)
    with _damage_is_of(folder / WEIGHTS):
        observation_dim, space = saved.weights["normalizer.mean"].shape[0], _saved_space(saved)
    return _build(folder, saved, observation_dim, space)


def saved_iteration(folder: Path) -> int | None:
    """Return the number of iterations that `save_policy` was told; None if it was told none."""
    return _read(folder).iteration


def _read(folder: Path) -> _Saved:
    """Raises ArtifactError, naming the file, if one is damaged."""
    with _damage_is_of(folder / ARCHITECTURE):
        # Files from before there were several kinds are of a Gaussian one.
        architecture = {"kind": GaussianPolicy.kind, **json.loads((folder / ARCHITECTURE).read_text())}
    with _damage_is_of(folder / WEIGHTS), safe_open(folder / WEIGHTS, "pt") as file:
        metadata = file.metadata() or {}
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
        if set(metadata) - {ABOUT, ITERATION}:
            raise ValueError(f"its metadata are {metadata}")
        about = json.loads(metadata.get(ABOUT, "{}"))
        iteration = about.get(ITERATION, metadata.get(ITERATION))
        saved = _Saved(weights, architecture, None if iteration is None else int(iteration))
        if ABOUT in metadata and about[CHECKSUM] != _checksum(saved):
            raise ValueError(f"it and {ARCHITECTURE} are not what its checksum says")
    return saved


def _checksum(saved: _Saved) -> str:
    weights = sorted(saved.weights.items())
    shapes = [(name, str(tensor.dtype), list(tensor.shape)) for name, tensor in weights]
    digest = hashlib.sha256(json.dumps([saved.architecture, saved.iteration, shapes], sort_keys=True).encode())
    for _, tensor in weights:
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


@contextlib.contextmanager
def _damage_is_of(path: Path) -> Iterator[None]:
    """While this lasts, `path` is read: JSON, safetensors and torch each have errors of their own."""
    try:
        yield
    except Exception as error:
        raise ArtifactError(f"{path} can't be read: {type(error).__name__}: {error}") from error


def _saved_space(saved: _Saved) -> gymnasium.Space:
    weights = saved.weights
    if saved.architecture["kind"] == CategoricalPolicy.kind:
        last_bias = [
            tensor for name, tensor in weights.items() if name.startswith("logits.") and tensor.ndim == 1
        ][-1]
        return Discrete(len(last_bias), start=int(weights["start"]))
    return Box(weights["low"].numpy(), weights["high"].numpy(), dtype=np.float32)


def _build(folder: Path, saved: _Saved, observation_dim: int, action_space: gymnasium.Space) -> StochasticPolicy:
    """Raises ArtifactError if it doesn't fit the spaces, or if files without a checksum are damaged."""
    try:
        return _fitted(saved, observation_dim, action_space)
    except Exception as error:  # torch's own of other shapes, and whatever a damaged architecture leads to
        raise ArtifactError(
            f"the policy in {folder} can't be loaded: it is of another environment, or damaged ({error})"
        ) from error


def _fitted(saved: _Saved, observation_dim: int, action_space: gymnasium.Space) -> StochasticPolicy:
    weights, architecture = saved.weights, saved.architecture
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
