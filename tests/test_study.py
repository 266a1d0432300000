"""An Optuna study of the expert, through the command line, and what can't be a study."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from omegaconf import DictConfig, OmegaConf, open_dict

from gailfe.storage.names import EVALUATION, FAILURE
from gailfe.sweep import SweepReport

pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")

TINY = [
    *("env=pendulum", "env.max_episode_steps=20", "expert.total_steps=512", "expert.steps_per_iteration=256"),
    *(
        "expert.eval_episodes=1",
        "expert.finalists=1",
        "expert.finalist_episodes=1",
        "expert.final_eval_episodes=2",
    ),
]


def command(*arguments: str) -> tuple[int, str]:
    process = subprocess.run(
        [sys.executable, "-m", "expert.train", *arguments], capture_output=True, text=True, check=False
    )
    return process.returncode, process.stdout + process.stderr


def study(folder: Path, *arguments: str) -> tuple[int, str]:
    return command("experiment=tune_expert", *TINY, f"paths.artifacts={folder}", *arguments)


def trials(folder: Path) -> list[tuple[str, float | None]]:
    """State and value of every trial that the study remembers."""
    query = "select trials.state, value from trials left join trial_values using (trial_id) order by trial_id"
    with sqlite3.connect(folder / "studies/pendulum/study.db") as database:
        return database.execute(query).fetchall()


def test_study_goes_on_with_the_same_command_and_its_winner_is_an_expert_like_any_other(tmp_path: Path) -> None:
    fixed = ["expert.activation=relu", "hydra.launcher.n_jobs=1"]
    code, output = study(tmp_path, *fixed, "hydra.sweeper.n_trials=2")
    assert code == 0, output
    assert "Figure 1" not in output
    assert "jobs are done" not in output
    code, output = study(tmp_path, *fixed, "hydra.sweeper.n_trials=1")
    assert code == 0, output
    experts = [json.loads(path.read_text()) for path in tmp_path.glob(f"experts/*/{EVALUATION}")]
    returns = sorted(expert["eval_return_mean"] for expert in experts)
    assert len(set(returns)) == 3
    assert sorted(value for _, value in trials(tmp_path) if value is not None) == pytest.approx(returns)

    results = OmegaConf.to_container(OmegaConf.load(tmp_path / "studies/pendulum/optimization_results.yaml"))
    assert isinstance(results, dict)
    assert "expert.gamma" in results["best_params"]
    assert "expert.activation" not in results["best_params"]  # the command fixes it

    told = output.split("the best trial of the study: ")[1].splitlines()
    assert told[0] == f"return {returns[-1]:.0f} by"
    arguments = shlex.split(told[1])[3:]
    assert "expert.activation=relu" in arguments
    code, output = command(*arguments)
    assert code == 0, output
    assert "experts: found" in output
    folder = Path(next(line for line in output.splitlines() if line.startswith(str(tmp_path))))
    assert json.loads((folder / EVALUATION).read_text())["eval_return_mean"] == returns[-1]


def test_trials_that_diverge_side_by_side_end_the_study_with_the_cause(tmp_path: Path) -> None:
    code, output = study(tmp_path, "hydra.sweeper.n_trials=4", "expert.learning_rate=1e30", "expert.epochs=1")
    assert code == 1
    # In which iteration the weights overflow depends on how a processor orders its sums.
    assert re.search(r"iteration \d+: NaN or infinite: .*policy\.mean\.", output)
    assert [state for state, _ in trials(tmp_path)] == ["FAIL", "FAIL"]
    notes = list(tmp_path.glob(f"studies/pendulum/*/{FAILURE}"))
    assert len(notes) == 2
    assert all("NaN or infinite" in note.read_text() for note in notes)


@pytest.fixture
def composed(tmp_path: Path) -> DictConfig:
    overrides = ["experiment=tune_expert", f"paths.artifacts={tmp_path}"]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        config = hydra.compose("config", overrides, return_hydra_config=True)
    with open_dict(config):
        config.hydra.job.name, config.hydra.job.config_name = "train", "config"
    return config


def start(config: DictConfig, *overrides: str) -> None:
    with open_dict(config):  # not joblib, with which this process would listen to signals from now on
        config.hydra.launcher = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    with open_dict(config):
        config.hydra.overrides.task = ["experiment=tune_expert", *overrides]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        SweepReport().on_multirun_start(config)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["env=hopper,ant"], r"^error: env=hopper,ant: "),
        (["expert.gamma=interval(0.9,1.1)"], r"expert\.gamma=1\.1 must be between 0 and 1"),
        (["expert.gamma=0.9,1.2"], r"expert\.gamma=1\.2 must be between 0 and 1"),
        (["expert.epochs=range(0,3)"], r"expert\.epochs=0 must be at least 1"),
        (["expert.gama=0.9"], r"expert\.gama"),
        (["+expert.gama=interval(0,1)"], r"expert\.gama"),
        (["env.max_episode_steps=0"], r"env\.max_episode_steps=0 must be at least 1"),
        (["expert=pretrained"], r"expert\.\w+"),
    ],
)
def test_what_some_trial_would_stumble_over_is_refused_before_the_first(
    overrides: list[str], said: str, composed: DictConfig
) -> None:
    with pytest.raises(SystemExit, match=said):
        start(composed, *overrides)
    assert not Path(composed.hydra.sweep.dir).exists()


def test_command_without_an_objective_is_refused(composed: DictConfig) -> None:
    with open_dict(composed):
        composed.hydra.job.name = "run"
    with pytest.raises(SystemExit, match=r"hydra\.sweeper=.*expert\.train"):
        start(composed)


def test_folder_is_there_before_the_study_opens_its_file_in_it(composed: DictConfig) -> None:
    start(composed, "env=hopper")
    assert Path(composed.hydra.sweep.dir).is_dir()
