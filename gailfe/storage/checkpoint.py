"""Saves and loads checkpoints: the whole state of a training in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from gailfe.storage.files import atomic


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (nested dicts, lists and tuples of tensors, arrays and plain values) atomically."""
    with atomic(path) as partial, partial.open("wb") as file:
        torch.save(_to_tensors(state), file)  # given a path, it would write the path's name into the file


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """Load what `save_checkpoint` wrote. None if there is no checkpoint; arrays come back as tensors.

    A checkpoint can't run code (`weights_only`).

    Raises:
        pickle.UnpicklingError: if the file holds anything but tensors and plain values.
    """
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)


def _to_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {key: _to_tensors(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_to_tensors(item) for item in value)
    return value
