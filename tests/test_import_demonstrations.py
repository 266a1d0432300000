"""Arrays become a Minari dataset: what comes out, and what is refused in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from helpers import HOPPER_DIMS, compose
from own_datasets import write_arrays

from expert.import_demonstrations import main
from expert.own_data import load_own_data, own_expert_record
from gailfe.envs.trajectory import Trajectory

LENGTHS = (4, 1, 5)
N = sum(LENGTHS)


def layout() -> dict[str, Any]:
    """Three episodes: one fell, one reached its limit, one is cut off."""
    rng = np.random.default_rng(0)
    paths = [rng.normal(size=(length + 1, HOPPER_DIMS[0])) for length in LENGTHS]
    rows = np.arange(N)
    return {
        "observations": np.concatenate([path[:-1] for path in paths]),
        "next_observations": np.concatenate([path[1:] for path in paths]),
        "actions": rng.uniform(-1, 1, size=(N, HOPPER_DIMS[1])).astype(np.float32),
        "rewards": rng.normal(size=N),
        "terminated": rows == 3,
        "truncated": rows == 4,
    }


def load(dataset: Path) -> list[Trajectory]:
    chosen = ["demonstrations=minari", f"demonstrations.dataset={dataset}", "demonstrations.split=true"]
    expert, failed = load_own_data(compose("env=hopper", *chosen))
    return [*failed, *expert]  # the one that fell is the first one


def run(source: Path, out: Path, *arguments: str) -> int:
    return main([f"source={source}", f"out={out}", "env=hopper", *arguments])


@pytest.mark.parametrize("suffix", ["npz", "h5", "hdf5"])
def test_episodes_come_back_as_they_were(suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arrays, out = layout(), tmp_path / "my data"
    assert run(write_arrays(tmp_path / f"my.{suffix}", arrays), out) == 0
    printed = capsys.readouterr().out
    assert "3 episodes, 10 steps, 1 episodes terminated" in printed
    assert f"demonstrations.dataset={out}" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["my data", f"my.{suffix}"]
    episodes = load(out)
    assert [len(t) for t in episodes] == list(LENGTHS)
    assert [(t.terminated, t.truncated) for t in episodes] == [(True, False), (False, True), (False, True)]
    for key in ("actions", "rewards"):
        assert np.array_equal(np.concatenate([getattr(t, key) for t in episodes]), arrays[key])
    assert np.array_equal(np.concatenate([t.observations[:-1] for t in episodes]), arrays["observations"])
    assert np.array_equal(np.concatenate([t.observations[1:] for t in episodes]), arrays["next_observations"])


def test_what_may_be_missing_is_made_up_for_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arrays = layout()
    for key in ("rewards", "next_observations", "truncated"):
        del arrays[key]
    arrays["reward"] = np.zeros(N)
    with caplog.at_level("INFO"):
        assert run(write_arrays(tmp_path / "my.npz", arrays), tmp_path / "out") == 0
    for words in ("no rewards", "no next_observations", "last episode is cut off", "not read: reward;"):
        assert words in caplog.text
    episodes = load(tmp_path / "out")
    assert [len(t) for t in episodes] == [4, 6]
    assert np.array_equal(episodes[0].observations[4], episodes[0].observations[3])
    assert own_expert_record(episodes)["eval_return_mean"] is None


BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"observations": np.zeros((N, 17))}, ["observations has shape (10, 17), must be (10, 11)"]),
    ({"next_observations": np.zeros((N + 1, 11))}, ["next_observations has shape (11, 11), must be (10, 11)"]),
    ({"actions": np.zeros((N, 2))}, ["actions has shape (10, 2), must be (10, 3)"]),
    ({"actions": np.zeros(N)}, ["actions has shape (10,), must be (10, 3)"]),
    ({"rewards": np.zeros((N, 1))}, ["rewards has shape (10, 1), must be (10,)"]),
    ({"terminated": np.zeros(N - 1, dtype=bool)}, ["terminated has shape (9,), must be (10,)"]),
    ({"truncated": np.full(N, 2)}, ["truncated must be boolean, or 0 and 1; got 2"]),
    ({"actions": np.full((N, 3), np.nan)}, ["actions must be finite", "row 0"]),
    ({"rewards": np.full(N, 1e200)}, ["rewards must be finite, and at most 1e15 in size, got 1e+200 in row 0"]),
    ({"actions": np.where(np.arange(N)[:, None] == 6, np.nan, np.zeros((N, 3)))}, ["row 6 (episode 2, step 1)"]),
    (
        {"actions": np.where(np.arange(N)[:, None] == 4, -1.01, np.zeros((N, 3)))},
        ["actions must be within", "got [-1.01 -1.01 -1.01] in row 4 (episode 1, step 0)"],
    ),
    ({"actions": np.full((N, 3), b"x")}, ["actions has dtype |S1, must be numbers"]),
    ({"observations": np.zeros((0, 11))}, ["observations are empty"]),
    ({"actions": None}, ["actions is missing; there are: observations"]),
    ({"terminated": None, "truncated": None}, ["terminated and truncated are missing"]),
    ({"observations": layout()["observations"][::-1]}, ["next_observations of row 0 must be", "time order"]),
]


@pytest.mark.parametrize("suffix", ["npz", "hdf5"])
@pytest.mark.parametrize(("changes", "said"), BAD, ids=[said[0] for _, said in BAD])
def test_arrays_out_of_the_layout_are_refused_by_key_and_shapes_and_nothing_is_written(
    changes: dict[str, Any], said: list[str], suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = {key: array for key, array in {**layout(), **changes}.items() if array is not None}
    source = write_arrays(tmp_path / f"my.{suffix}", arrays)
    assert run(source, tmp_path / "out") == 1
    told = capsys.readouterr().err
    for words in said:
        assert words in told
    assert list(tmp_path.iterdir()) == [source]


def test_files_that_are_no_arrays_and_folders_in_the_way_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_arrays(tmp_path / "my.npz", layout())
    for name in ("bad.npz", "bad.h5", "bad.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
        assert run(tmp_path / name, tmp_path / "out") == 1
        assert name in capsys.readouterr().err
    assert run(tmp_path / "nowhere.npz", tmp_path / "out") == 1
    assert run(good, tmp_path) == 1
    assert "isn't there yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "source=<file> and out=<folder>"),
        (["sorce=x"], "unknown key 'sorce'"),
        (["source=x", "out=y", "env=nope"], "env/nope"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_an_environment_of_ones_own_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "conf/env").mkdir(parents=True)
    text = Path(__file__).parents[1].joinpath("conf/env/hopper.yaml").read_text()
    (tmp_path / "conf/env/mine.yaml").write_text(text)
    source = write_arrays(tmp_path / "my.npz", layout())
    assert run(source, tmp_path / "out", "env=mine", f"config_dir={tmp_path / 'conf'}") == 0
    assert len(load(tmp_path / "out")) == 3


def test_help_shows_the_layout(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for key in layout():
        assert f"\n{key} " in printed or f"    {key} " in printed


def test_a_name_in_hdf5_that_is_no_text_is_not_read_and_no_error(tmp_path: Path) -> None:
    source = write_arrays(tmp_path / "my.h5", layout())
    with h5py.File(source, "a") as file:
        file[b"\xff"] = np.zeros(1)
    assert run(source, tmp_path / "out") == 0
