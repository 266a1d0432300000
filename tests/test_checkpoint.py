"""Checkpoints: what they hold comes back as it was, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gailfe.storage.checkpoint import load_checkpoint, save_checkpoint

PCG64 = np.random.default_rng(0).bit_generator.state


def round_trip(folder: Path, state: dict[str, Any]) -> dict[str, Any]:
    save_checkpoint(folder / "state.pt", state)
    loaded = load_checkpoint(folder / "state.pt")
    assert loaded is not None
    return loaded


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**127 + 1,
        0.1,
        float("inf"),
        "λ_F",
        [],
        {},
        [1, [2.5, None], {"a": (True, "x")}],
        (1, (2, [3])),
        {1: "integer key", "1": "string key"},
        PCG64,
    ],
    ids=repr,
)
def test_plain_values_come_back_as_they_were(tmp_path: Path, value: Any) -> None:
    loaded = round_trip(tmp_path, {"value": value})["value"]
    assert loaded == value
    assert type(loaded) is type(value)
    assert repr(loaded) == repr(value)  # tuples inside stay tuples, True doesn't become 1


@pytest.mark.parametrize(
    ("scalar", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.float32(0.5), 0.5),
        (np.int64(-(2**62)), -(2**62)),
        (np.uint32(2**32 - 1), 2**32 - 1),
        (np.bool_(True), True),
        (np.str_("name"), "name"),
    ],
)
def test_numpy_scalars_come_back_as_plain_values(tmp_path: Path, scalar: np.generic, plain: Any) -> None:
    loaded = round_trip(tmp_path, {"list": [scalar], "tuple": (scalar,)})
    assert loaded == {"list": [plain], "tuple": (plain,)}
    assert type(loaded["list"][0]) is type(plain)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "uint8", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_arrays_come_back_as_tensors_bit_for_bit(tmp_path: Path, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).integers(0, 2, shape) / np.float64(3)).astype(dtype)
    loaded = round_trip(tmp_path, {"pieces": [(array, array[..., None])]})["pieces"][0]
    for ours, theirs in zip(loaded, (array, array[..., None]), strict=True):
        assert isinstance(ours, torch.Tensor)
        assert ours.numpy().dtype == theirs.dtype
        assert ours.shape == theirs.shape
        assert np.array_equal(ours.numpy(), theirs)


def test_a_view_with_negative_or_wide_strides_is_saved_as_what_it_shows(tmp_path: Path) -> None:
    array = np.arange(12.0).reshape(3, 4)
    loaded = round_trip(tmp_path, {"backwards": array[::-1], "column": array[:, 1], "transposed": array.T})
    assert loaded["backwards"].tolist() == array[::-1].tolist()
    assert loaded["column"].tolist() == array[:, 1].tolist()
    assert loaded["transposed"].tolist() == array.T.tolist()


def test_tensors_keep_dtype_and_bits_and_an_optimiser_goes_on(tmp_path: Path) -> None:
    def model() -> tuple[nn.Linear, torch.optim.Adam]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 2)
        return layer, torch.optim.Adam(layer.parameters(), lr=0.1, fused=True)

    def step(layer: nn.Linear, optimizer: torch.optim.Adam) -> list[float]:
        optimizer.zero_grad()
        layer(torch.ones(3)).square().sum().backward()
        optimizer.step()
        return layer.weight.flatten().tolist()

    layer, optimizer = model()
    step(layer, optimizer)
    state = {"layer": layer.state_dict(), "optimizer": optimizer.state_dict(), "rng": torch.get_rng_state()}
    loaded = round_trip(tmp_path, state)
    other, other_optimizer = model()
    other.load_state_dict(loaded["layer"])
    other_optimizer.load_state_dict(loaded["optimizer"])
    assert step(other, other_optimizer) == step(layer, optimizer)
    assert loaded["rng"].dtype == torch.uint8


def test_a_random_stream_goes_on_where_it_stopped(tmp_path: Path) -> None:
    ours, theirs = np.random.default_rng(3), np.random.default_rng(4)
    ours.normal(size=7)
    theirs.bit_generator.state = round_trip(tmp_path, {"random": ours.bit_generator.state})["random"]
    assert ours.normal(size=5).tolist() == theirs.normal(size=5).tolist()


def test_what_is_saved_is_the_moment_and_not_what_the_arrays_hold_later(tmp_path: Path) -> None:
    array = np.zeros(3)
    save_checkpoint(tmp_path / "state.pt", {"array": array})
    array += 1
    loaded = load_checkpoint(tmp_path / "state.pt")
    assert loaded is not None
    assert loaded["array"].tolist() == [0, 0, 0]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert load_checkpoint(tmp_path / "checkpoint" / "state.pt") is None


def test_the_same_state_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.pt", "second.pt"):
        save_checkpoint(tmp_path / name, {"iteration": 1, "weights": torch.ones(3)})
    assert (tmp_path / "first.pt").read_bytes() == (tmp_path / "second.pt").read_bytes()
