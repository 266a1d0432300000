"""Demonstrations of one's own: what is taken, what is assumed, what is refused, through to the end of a run."""

from __future__ import annotations

import csv
import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest
from helpers import compose, unit_box
from minari import MinariDataset
from minari.dataset.minari_storage import MinariStorage
from own_datasets import record

from expert.own_data import check_own_data, load_own_data, own_data_recipe, own_expert_record
from gailfe.config.keys import ConfigError
from gailfe.config.schema import AnnotatorConfig, Config
from gailfe.envs.trajectory import Demonstrations

CONF = Path(__file__).parent / "conf"


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("datasets")
    record(root, "mine-v0", limit=20)
    record(root, "cut-v0", episodes=2, limit=5, dtype="float32", cut=True)
    return root


def make_config(dataset: Path | str, failed: Path | None = None, split_below: float | None = None) -> Config:
    annotator = AnnotatorConfig("below", "helpers.below", {"min_return": split_below or 0.0})
    chosen = [f"demonstrations.dataset={dataset}", f"demonstrations.split={split_below is not None}"]
    if failed is not None:
        chosen.append(f"demonstrations.failed_dataset={failed}")
    return replace(compose("env=hopper", "demonstrations=minari", *chosen), annotator=annotator)


def load(config: Config) -> Demonstrations:
    return load_own_data(config)


def edited(dataset: Path, folder: Path, key: str, change: object) -> Path:
    """A copy whose first episode has another `key`."""
    shutil.copytree(dataset, folder)
    with h5py.File(folder / "data/main_data.hdf5", "a") as file:
        changed = change(file["episode_0"][key][()])  # type: ignore[operator]
        del file["episode_0"][key]
        file["episode_0"][key] = changed
    return folder


def nan_in_row_7(observations: np.ndarray) -> np.ndarray:
    observations[7, 3] = np.nan
    return observations


def command(folder: Path, *arguments: str) -> tuple[int, str]:
    process = subprocess.run(
        [
            *(sys.executable, "-m", "gailfe.run", "--config-dir", str(CONF), "experiment=tiny", "tracking=none"),
            *("demonstrations=minari", f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}"),
            *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout + process.stderr


def test_a_dataset_of_another_project_drives_gailfe_to_the_end_without_an_expert_being_trained(
    datasets: Path, tmp_path: Path
) -> None:
    mine, cut = Path(shutil.copytree(datasets / "mine-v0", tmp_path / "mine-v0")), datasets / "cut-v0"
    chosen = [f"demonstrations.dataset={mine}", f"demonstrations.failed_dataset={cut}"]
    code, output = command(tmp_path, "env=hopper", "algo=gailfe", *chosen)
    assert code == 0, output
    recipe = json.loads(next(tmp_path.glob("runs/**/recipe.json")).read_text())
    assert f"{mine}: 4 episodes, SHA-256 {recipe['datasets']['dataset']}" in output
    assert f"{cut}: 2 episodes, SHA-256 {recipe['datasets']['failed_dataset']}" in output
    assert not (tmp_path / "artifacts").exists()
    (path,) = tmp_path.glob("runs/**/metrics.csv")
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 6
    assert all(float(row["failure_buffer_trajectories"]) >= 2 and row["log_d_failed"] for row in rows)
    returns = [float(episode.rewards.sum()) for episode in MinariDataset(mine / "data")]
    line = json.loads((path.parent / "expert.json").read_text())
    assert line["episodes"] == 4
    assert line["eval_return_mean"] == pytest.approx(np.mean(returns))
    assert line["eval_return_std"] == pytest.approx(np.std(returns))
    assert line["eval_episode_length_mean"] == 20
    with h5py.File(mine / "data/main_data.hdf5", "a") as file:
        file["episode_0"]["actions"][0, 0] *= 0.999
    code, output = command(tmp_path, "env=hopper", "algo=gailfe", *chosen)
    assert code == 1
    assert f"datasets.dataset was {recipe['datasets']['dataset']}, now" in output


def test_spaces_that_do_not_fit_are_refused_with_both_shapes_before_any_work(
    datasets: Path, tmp_path: Path
) -> None:
    code, output = command(tmp_path, "env=halfcheetah", f"demonstrations.dataset={datasets / 'mine-v0'}")
    assert code == 1
    for words in ("demonstrations.dataset=", "observations", "HalfCheetah-v5", "(17,)", "(11,)"):
        assert words in output
    assert "Traceback" not in output
    assert not (tmp_path / "artifacts").exists()
    assert not list(tmp_path.glob("runs/**/recipe.json"))


@pytest.mark.parametrize(
    ("dims", "shapes"),
    [((8, 3), r"observations .*\(11,\).*\(8,\)"), ((11, 2), r"actions .*\(3,\).*\(2,\)")],
)
def test_either_space_is_checked_and_in_the_failed_dataset_too(
    dims: tuple[int, int], shapes: str, datasets: Path, tmp_path: Path
) -> None:
    spaces = [unit_box(dim) for dim in dims]
    storage = MinariStorage.new(tmp_path, *spaces)  # a folder with the data itself
    storage.update_metadata({"dataset_id": "other-v0", "minari_version": minari.__version__})
    for key, config in (
        ("dataset", make_config(tmp_path)),
        ("failed_dataset", make_config(datasets / "mine-v0", tmp_path)),
    ):
        with pytest.raises(ConfigError, match=rf"demonstrations\.{key}={tmp_path}: the {shapes}"):
            check_own_data(config)


def test_a_mixed_dataset_is_split_by_the_annotator(datasets: Path) -> None:
    mine, cut = datasets / "mine-v0", datasets / "cut-v0"
    returns = [float(episode.rewards.sum()) for episode in MinariDataset(mine / "data")]
    threshold = float(np.median(returns))
    expert, failed = load(make_config(mine, split_below=threshold))
    assert [t.total_reward for t in expert] == pytest.approx([r for r in returns if r >= threshold])
    assert [t.total_reward for t in failed] == pytest.approx([r for r in returns if r < threshold])
    assert expert
    assert failed
    assert len(load(make_config(mine, cut, split_below=threshold))[1]) == len(failed) + 2
    with pytest.raises(ConfigError, match=r"none of the 4 episodes .*annotator=below"):
        load(make_config(mine, split_below=max(returns) + 1))


def test_cut_off_episodes_count_as_truncated_float32_is_taken_and_failures_may_be_missing(
    datasets: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        expert, failed = load(make_config(datasets / "cut-v0"))
    assert [(t.terminated, t.truncated) for t in expert] == [(False, True)] * 2
    assert [t.observations.shape for t in expert] == [(6, 11)] * 2
    assert expert[0].observations.dtype == np.float64
    assert failed == []
    assert "1 of 2 episodes are cut off" in caplog.text
    assert "β_F will begin empty" in caplog.text


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("observations", lambda o: o[:-1], "1 of 4 episodes lack the observation that they ended in"),
        ("rewards", lambda r: r * np.nan, "1 of 4 episodes have unknown rewards"),
        ("terminations", lambda t: np.arange(len(t)) == 3, "1 of 4 episodes go on after a step"),
    ],
)
def test_what_is_assumed_about_an_episode_is_said(
    key: str,
    change: object,
    said: str,
    datasets: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        expert, _ = load(make_config(edited(datasets / "mine-v0", tmp_path / "edited", key, change)))
    assert said in caplog.text
    assert np.abs(expert[0].actions).max() <= 1
    assert len(expert[0].observations) == len(expert[0]) + 1
    assert (own_expert_record(expert)["eval_return_mean"] is None) is (key == "rewards")


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        ("observations", lambda o: o[:, :5], r"episode 0: observations have shape \(21, 5\), must be \(T, 11\)"),
        ("actions", lambda a: a * np.inf, "episode 0: actions must be finite, .*got -?inf in step 0"),
        ("observations", nan_in_row_7, "episode 0: observations must be finite, .*got nan in step 7"),
        (
            "observations",
            lambda o: o * 1e200,
            r"observations must be .*at most 1e15 .*e\+\d+ in step 0",
        ),
        ("rewards", lambda r: r + 1e200, r"episode 0: rewards must be .*got 1e\+200 in step 0"),
        (
            "actions",
            lambda a: np.where(np.arange(20)[:, None] == 5, 1.5, a),
            r"episode 0: actions must be .*bounds, "
            r"got \[1\.5 1\.5 1\.5\] in step 5",
        ),
        ("observations", lambda o: o[:3], "episode 0: .*T \\+ 1 observations.*got 20 actions, 3 observations"),
    ],
)
def test_an_episode_that_cannot_be_learned_from_is_refused_by_number(
    key: str, change: object, said: str, datasets: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=said):
        load(make_config(edited(datasets / "mine-v0", tmp_path / "edited", key, change)))


def test_metadata_that_tell_of_other_episodes_than_there_are_are_refused(datasets: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(datasets / "mine-v0", tmp_path / "mine"))
    path = mine / "data/metadata.json"
    metadata = json.loads(path.read_text())
    for told in (2, 5):  # the checksum does not cover them
        path.write_text(json.dumps({**metadata, "total_episodes": told}))
        with pytest.raises(ConfigError, match=rf"metadata\.json has total_episodes={told}, which must be 4,"):
            check_own_data(make_config(mine))


def test_another_content_is_another_recipe_and_another_place_is_not(datasets: Path, tmp_path: Path) -> None:
    mine = datasets / "mine-v0"
    moved = Path(shutil.copytree(mine, tmp_path / "moved"))
    changed = edited(mine, tmp_path / "changed", "actions", lambda a: a * 0.999)
    first = own_data_recipe(make_config(mine))
    assert own_data_recipe(make_config(moved)) == first
    others = [
        own_data_recipe(make_config(changed)),
        own_data_recipe(make_config(mine, datasets / "cut-v0")),
        own_data_recipe(make_config(mine, changed)),
        own_data_recipe(make_config(mine, split_below=1.0)),
        own_data_recipe(make_config(mine, split_below=2.0)),
    ]
    assert len({json.dumps(recipe) for recipe in [first, *others]}) == 6


def test_a_dataset_is_found_by_its_folder_its_data_folder_or_its_id(
    datasets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(datasets.parent)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(datasets))
    for name in (datasets / "mine-v0", datasets / "mine-v0/data", f"{datasets.name}/mine-v0", "mine-v0"):
        check_own_data(make_config(name))
        assert len(load(make_config(name))[0]) == 4
    with pytest.raises(ConfigError, match=r"demonstrations.dataset=mine-v1 must be .*import_demonstrations"):
        check_own_data(make_config("mine-v1"))
