"""Damaged files of finished runs: such a run is not called finished, and is made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from algorithms import rows, run, small_run, weights
from helpers import flip, shorten
from run_folders import make_run

from analysis.runs import read_run
from gailfe.config.keys import ConfigError
from gailfe.storage.finished import read_summary, write_summary
from gailfe.storage.recipe import is_finished, run_recipe
from gailfe.storage.store import ArtifactError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to."""
    return run(small_run("gailfe"), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def finished(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def is_done(folder: Path) -> bool:
    return is_finished(folder, run_recipe(small_run("gailfe"), "key"), 6)


@pytest.mark.parametrize("key", ["iterations", "wall_time_s", "last_row"])
def test_a_summary_that_says_something_else_than_was_written_is_not_believed(key: str, tmp_path: Path) -> None:
    write_summary(tmp_path, {"iterations": 6, "wall_time_s": 1.0, "stopped_early": False, "last_row": {"kl": 0.5}})
    assert read_summary(tmp_path) is not None
    summary = json.loads((tmp_path / "summary.json").read_text())
    summary[key] = {"iterations": 7, "wall_time_s": 2.0, "last_row": {"kl": 0.25}}[key]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ArtifactError, match=r"summary\.json can't be read: it is not as it was written"):
        read_summary(tmp_path)


HELD = ["metrics.csv", "recipe.json", "policy.safetensors", "policy.json", "config.yaml", "expert.json"]
WAYS: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "flipped": flip,
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("name", HELD)
def test_a_finished_run_with_a_damaged_file_is_not_called_finished(
    name: str, way: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name_held in HELD:
        (tmp_path / name_held).write_text('{"seed": 0}')
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/state_before.pt").touch()
    write_summary(tmp_path, {"iterations": 6, "stopped_early": False})
    assert is_finished(tmp_path, {"seed": 0}, 6)
    way(tmp_path / name)
    if name == "recipe.json" and way is flip:
        with pytest.raises(ConfigError, match=r"another configuration|differ"):
            is_finished(tmp_path, {"seed": 0}, 6)
        return
    assert not is_finished(tmp_path, {"seed": 0}, 6)
    assert f"{tmp_path / name} is missing or is not what summary.json says" in caplog.text
    shutil.rmtree(tmp_path / "checkpoint")
    with pytest.raises(ArtifactError, match=f"{name} is missing .* no checkpoint .* move {tmp_path} away"):
        is_finished(tmp_path, {"seed": 0}, 6)


@pytest.mark.parametrize("name", ["metrics.csv", "policy.safetensors", "recipe.json", "summary.json"])
def test_a_damaged_finished_run_is_made_again_to_the_same_files(name: str, finished: Path, whole: Path) -> None:
    assert is_done(finished)
    WAYS["cut"](finished / name)
    assert not is_done(finished)
    run(small_run("gailfe"), finished)
    assert is_done(finished)
    assert rows(finished) == rows(whole)
    assert weights(finished) == weights(whole)


def test_a_damaged_run_that_is_drawn_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = make_run(tmp_path)
    write_summary(folder, {"iterations": 4, "stopped_early": False})
    assert read_run(folder) is not None
    assert caplog.text == ""
    shorten(folder / "metrics.csv", 3)
    assert read_run(folder) is not None
    assert f"{folder / 'metrics.csv'} is missing or is not what summary.json says" in caplog.text
