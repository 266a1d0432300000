"""Data from elsewhere, spoilt at random: taken, or refused in a sentence that names the file."""

from __future__ import annotations

import functools
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import HOPPER, HOPPER_DIMS, compose, make_trajectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from own_datasets import write_arrays

from expert.demonstrations import save_dataset
from expert.import_demonstrations import import_demonstrations
from expert.own_data import check_own_data, load_own_data
from gailfe.config.arguments import CommandError
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.trajectory import absurd

N = 6
EPISODES = 2
ROWS = ["observations", "next_observations", "actions", "rewards", "terminated", "truncated"]
EPISODE = ["observations", "actions", "rewards", "terminations", "truncations"]
seeds = st.integers(0, 2**32 - 1)
bounded = functools.partial(
    settings, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


def cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flip(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for at in rng.sample(range(len(content)), rng.choice([1, 8, 64])):
        changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def other(content: bytes, rng: random.Random) -> bytes:
    return rng.choice([b"", b"{}", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x93NUMPY", rng.randbytes(200)])


SPOILERS: list[Callable[[bytes, random.Random], bytes]] = [cut, flip, other]


def spoilt(array: np.ndarray, rng: random.Random) -> Any:
    """Of another shape or type, or with numbers that are none."""
    changed = array.astype(float)
    changed.flat[rng.randrange(changed.size)] = rng.choice([np.nan, np.inf, -np.inf, 1e300, -7.5])
    shapes = [array[:0], array[:-1], array[None], array.reshape(-1), array[..., None], np.concatenate([array] * 2)]
    kinds = [array.astype(kind) for kind in ("S3", "complex64", "int8", "float16", "bool")]
    scalars = [np.array(rng.choice([0, 1.5, b"x"])), np.zeros(()), np.zeros((3, 0))]
    return rng.choice([changed, changed, *shapes, *kinds, *scalars])


def layout() -> dict[str, np.ndarray]:
    path = np.random.default_rng(0).normal(size=(N + 1, HOPPER_DIMS[0]))
    ends = np.arange(N) == N - 1
    return {
        **{"observations": path[:-1], "next_observations": path[1:], "actions": np.zeros((N, HOPPER_DIMS[1]))},
        **{"rewards": np.ones(N), "terminated": ends, "truncated": np.zeros(N, dtype=bool)},
    }


def imported(source: Path) -> None:
    """A file is taken, or refused in a sentence that names it, and nothing is left."""
    out, said = source.parent / "out", ""
    try:
        import_demonstrations(source, out, HOPPER)
    except CommandError as error:  # which the command prints
        said = str(error)
    assert out.exists() == (said == "")
    assert said == "" or said.startswith(f"source={source}: ")
    assert out.exists() or list(source.parent.iterdir()) == [source]


@given(seed=seeds, suffix=st.sampled_from(["npz", "hdf5"]), key=st.sampled_from(ROWS))
@bounded(max_examples=40)
def test_any_array_is_imported_or_refused_by_file(seed: int, suffix: str, key: str) -> None:
    rng, arrays = random.Random(seed), layout()
    arrays[key] = spoilt(arrays[key], rng)
    with tempfile.TemporaryDirectory() as folder:
        imported(write_arrays(Path(folder, f"my.{suffix}"), arrays))


@given(seed=seeds, suffix=st.sampled_from(["npz", "hdf5"]), spoil=st.sampled_from(SPOILERS))
@bounded(max_examples=60)
def test_any_file_is_imported_or_refused_by_file(
    seed: int, suffix: str, spoil: Callable[[bytes, random.Random], bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = write_arrays(Path(folder, f"my.{suffix}"), layout())
        source.write_bytes(spoil(source.read_bytes(), random.Random(seed)))
        imported(source)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets") / "mine"
    trajectories = [make_trajectory(steps, seed=steps) for steps in range(3, 3 + EPISODES)]
    save_dataset(folder, "mine-v0", trajectories, HOPPER, "noise", {})
    return folder


DEFAULT: Config = compose("env=hopper")


def learned_from(dataset: Path) -> None:
    """A dataset is taken, or refused in a sentence that names it."""
    config = replace(DEFAULT, demonstrations=replace(DEFAULT.demonstrations, dataset=str(dataset)))
    said = f"demonstrations.dataset={dataset}"
    try:
        check_own_data(config)
        expert, _ = load_own_data(config)
    except ConfigError as error:
        said = str(error)
    else:
        assert len(expert) == EPISODES
        assert not any(absurd(t.observations).any() or absurd(t.actions).any() for t in expert)
    assert said.startswith(f"demonstrations.dataset={dataset}")


@given(seed=seeds, key=st.sampled_from(EPISODE))
@bounded(max_examples=40)
def test_any_episode_is_learned_from_or_refused_by_dataset(dataset: Path, seed: int, key: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(dataset, Path(folder, "mine")))
        with h5py.File(copy / "data/main_data.hdf5", "a") as file:
            changed = spoilt(file["episode_1"][key][()], random.Random(seed))
            del file["episode_1"][key]
            file["episode_1"][key] = changed
        learned_from(copy)


@given(seed=seeds, name=st.sampled_from(["main_data.hdf5", "metadata.json"]), spoil=st.sampled_from(SPOILERS))
@bounded(max_examples=60)
def test_any_file_of_a_dataset_is_learned_from_or_refused_by_dataset(
    dataset: Path, seed: int, name: str, spoil: Callable[[bytes, random.Random], bytes]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(dataset, Path(folder, "mine")))
        path = copy / "data" / name
        path.write_bytes(spoil(path.read_bytes(), random.Random(seed)))
        learned_from(copy)


HOSTILE = [
    None,
    [],
    {},
    "",
    "x" * 10_000,
    -1,
    1,
    10**30,
    1e308,
    ["a", 1],
    {"type": "Box"},
    "__import__('os')",
    "\0",
]


@given(data=st.data())
@bounded(max_examples=40)
def test_any_metadata_are_taken_or_refused_by_dataset(dataset: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(dataset, Path(folder, "mine")))
        path = copy / "data/metadata.json"
        metadata = json.loads(path.read_text())
        key = data.draw(st.sampled_from([*metadata, "surplus"]))
        metadata[key] = data.draw(st.sampled_from(HOSTILE))
        path.write_text(json.dumps(metadata))
        learned_from(copy)
