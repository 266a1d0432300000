"""W&B with every algorithm, and where a run or W&B's own process ends."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from algorithms import DEMONSTRATIONS, every_algorithm, rows, run, small_run
from helpers import fell
from own_learner import MeanMatcher
from wandb_files import offline_runs, tracked

import gailfe.reporting
from gailfe.algorithms.imitation import Imitator
from gailfe.algorithms.learner import Sampled, Sectioned, make_learner
from gailfe.processes.stopping import Stopped, forget, stop
from gailfe.storage.tracking import columns, read_rows
from gailfe.storage.wandb_run import Sections, TrackingError

ROOT = Path(__file__).parents[1]
NOT_NUMBERS = ("histogram", "video", "_")  # what of a row is no column of metrics.csv


pytestmark = pytest.mark.usefixtures("no_server")


def test_the_run_after_one_that_failed_in_the_same_process_is_a_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise FloatingPointError("diverged")

    config = tracked("bc", "env.num_iterations=2")
    with monkeypatch.context() as patch:
        patch.setattr("gailfe.training.check_finite", broken)
        with pytest.raises(FloatingPointError):
            run(config, tmp_path / "failed")
    run(config, tmp_path / "next")
    (failed,), (following,) = offline_runs(tmp_path / "failed"), offline_runs(tmp_path / "next")
    assert failed.exit_code == 1
    assert sorted(failed.history) == []
    assert sorted(following.history) == [1, 2]


@every_algorithm
def test_of_every_algorithm_wandb_gets_each_row_and_the_policy_in_its_own_sections(
    algorithm: str, tmp_path: Path
) -> None:
    folder = run(tracked(algorithm), tmp_path / "run")
    (offline,) = offline_runs(folder)
    learner = make_learner(tracked(algorithm), DEMONSTRATIONS, fell)
    sections = Sections(learner.SECTIONS if isinstance(learner, Sectioned) else {})
    written = read_rows(folder / "metrics.csv")
    assert sorted(offline.history) == [row["iteration"] for row in written]
    for row in written:
        logged = offline.history[int(row["iteration"])]
        assert {sections.key(name): value for name, value in row.items()}.items() <= logged.items()
    assert [artifact.type for artifact in offline.artifacts.values()] == ["policy"]


def kill_wandb() -> None:
    """What the system does to W&B's own process where memory runs out, or a signal to all processes of a job."""
    own = Path(f"/proc/{os.getpid()}/task")
    children = [int(child) for task in own.iterdir() for child in (task / "children").read_text().split()]
    (core,) = [child for child in children if b"wandb-core" in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(core, signal.SIGKILL)


@pytest.mark.parametrize("signalled", [False, True])
def test_where_wandbs_own_process_ends_the_run_stops_and_goes_on(
    signalled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(gailfe.reporting, "SIGNALS_APART", 0.0)
    config, row = tracked("gail"), gailfe.reporting.Reporter.row

    def row_of_3(self: gailfe.reporting.Reporter, of: dict[str, float]) -> None:
        if of["iteration"] == 3:
            kill_wandb()
            time.sleep(0.5)  # until the connection knows
            if signalled:
                stop()
        row(self, of)

    monkeypatch.setattr(gailfe.reporting.Reporter, "row", row_of_3)
    with pytest.raises(Stopped if signalled else TrackingError, match="he same command goes on"):
        run(config, tmp_path / "run")
    forget()
    monkeypatch.setattr(gailfe.reporting.Reporter, "row", row)
    folder = run(config, tmp_path / "run")
    # After a signal the row's checkpoint was saved first.
    assert f"resumed after iteration {3 if signalled else 2}" in caplog.text
    assert rows(folder) == rows(run(small_run("gail"), tmp_path / "whole"))


def test_metrics_of_an_algorithm_of_ones_own_have_a_section(tmp_path: Path) -> None:
    assert not issubclass(MeanMatcher, Sampled)
    assert not hasattr(MeanMatcher, "SECTIONS")
    sections = Sections({})
    keys = [sections.key(name) for name in columns(MeanMatcher.METRICS)]
    assert keys[:3] == ["iteration", "env_steps", "speed/wall_time_s"]
    assert keys[-2:] == ["algorithm/distance", "speed/steps_per_s"]
    assert set(keys[3:-2]) == {f"return/{name}" for name in columns(())[3:-1]}
    assert Sections({"mine": ["distance"]}).key("distance") == "mine/distance"


def test_every_metric_of_gail_and_gailfe_has_a_section_of_its_own_meaning() -> None:
    sectioned = [name for names in Imitator.SECTIONS.values() for name in names]
    assert sorted(sectioned) == sorted(Imitator.METRICS)
    assert issubclass(Imitator, Sampled)
    assert isinstance(Imitator.__new__(Imitator), Sectioned)
