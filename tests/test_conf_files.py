"""Every file of conf/, found by glob: it composes, passes the checks, runs, and says how to use it.

A new file is picked up by itself. Files whose name starts with an underscore are parts of others.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import hydra
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from own_datasets import record
from sb3_files import save_model

from expert.collect import NotEnoughDemonstrations
from expert.demonstrations import EXPERT, FAILED
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.pipeline import run
from gailfe.study import trials_to_check

CONF = Path(__file__).parents[1] / "conf"
FILES = sorted(path for path in CONF.glob("**/*.yaml") if not path.name.startswith("_"))
OPTIONS = [f"{path.parent.name}={path.stem}" for path in FILES if path.parent != CONF]
ENVS = [option for option in OPTIONS if option.startswith("env=")]

# All three stages in a second. So short an episode ends before an untrained expert has fallen, and is too short to
# subsample.
TINY = [
    *("env.max_episode_steps=10", "env.num_iterations=2", "evaluation.episodes=1"),
    *("expert.total_steps=512", "expert.steps_per_iteration=256", "expert.epochs=1", "expert.eval_episodes=1"),
    *("expert.final_eval_episodes=1", "demonstrations.num_trajectories=2", "demonstrations.subsample=1"),
]

SMALL_ALGO = {"steps_per_iteration": 64}  # where an algorithm has such a key


@pytest.fixture(scope="module", autouse=True)
def conf() -> Iterator[None]:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        yield


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: options that need the same expert train it once."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's own demonstrations, for options that take them."""
    return record(tmp_path_factory.mktemp("datasets"), episodes=2, limit=10)


@functools.cache
def compose(*overrides: str) -> Config:
    return parse(hydra.compose("config", list(overrides)))


def jobs(*overrides: str) -> list[list[str]]:
    """The jobs that a command makes, as Hydra's own sweeper expands them; of a study, those that are checked."""
    if "experiment=tune_expert" in overrides:
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    cfg: DictConfig = hydra.compose("config", [o for o in overrides if _chooses(o)], return_hydra_config=True)
    if cfg.hydra.sweeper._target_ != f"{BasicSweeper.__module__}.{BasicSweeper.__name__}":
        with open_dict(cfg):
            cfg.hydra.overrides.task = list(overrides)
        return list(trials_to_check(cfg))
    params = OmegaConf.to_container(cfg.hydra.sweeper.params or OmegaConf.create()) or {}
    assert isinstance(params, dict)
    swept = [f"{key!s}={value}" for key, value in params.items()] if cfg.hydra.mode is RunMode.MULTIRUN else []
    parsed = OverridesParser.create().parse_overrides([*swept, *overrides])
    return BasicSweeper.split_arguments(parsed, None)[0]


def _chooses(override: str) -> bool:
    """Whether it is a plain choice of an experiment, which may bring a sweep of its own."""
    return override.startswith("experiment=") and "," not in override


def test_every_group_has_options() -> None:
    groups = {"algo", "annotator", "demonstrations", "env", "experiment", "expert", "tracking"}
    assert groups <= {option.split("=")[0] for option in OPTIONS}


def alternatives(option: str) -> list[list[str]]:
    """Overrides with which an option can run: by itself, else in an environment that has what it needs."""
    if option.startswith("experiment="):
        return jobs(option)[:1]
    return [[option], *([option, env] for env in ENVS if option not in ENVS)]


@pytest.fixture
def what_it_needs(option: str, tmp_path: Path, request: pytest.FixtureRequest) -> list[str]:
    """Keys without which an option can't run: files that only their owner has."""
    if option == "demonstrations=minari":
        return [f"demonstrations.dataset={request.getfixturevalue('dataset')}"]
    if option == "expert=sb3":
        pytest.importorskip("sb3_contrib")
        save_model(tmp_path / "model.zip", "TRPO", "Hopper-v5")
        return [f"expert.file={tmp_path / 'model.zip'}", "expert.algo=trpo", "expert.allow_pickle=true"]
    return []


def run_tiny(overrides: list[str], artifacts: Path, folder: Path) -> Config:
    paths = [f"paths.artifacts={artifacts}", f"paths.runs={folder.parent}"]
    tracking = [] if any(o.startswith("tracking=") for o in overrides) else ["tracking=none"]
    chosen = hydra.compose("config", overrides)
    tiny = [
        o for o in TINY if not o.startswith("expert.") or OmegaConf.select(chosen, o.split("=")[0]) is not None
    ]
    tiny += [f"algo.{key}={value}" for key, value in SMALL_ALGO.items() if key in chosen.algo]
    config = compose(*overrides, *tiny, *tracking, *paths)
    run(config, folder)
    return config


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_runs_through_all_three_stages(
    option: str, what_it_needs: list[str], artifacts: Path, tmp_path: Path
) -> None:
    refusals: list[str] = []
    for number, overrides in enumerate(alternatives(option)):
        folder = tmp_path / f"run-{number}"
        try:
            config = run_tiny(overrides + what_it_needs, artifacts, folder)
            break
        except (ConfigError, NotEnoughDemonstrations) as error:
            refusals.append(f"{' '.join(overrides)}: {error}")
    else:
        pytest.fail("\n".join(refusals))
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    assert [row["iteration"] for row in rows] == ["1", "2"]
    has_failures = getattr(config.algo, "failures", None) is not None
    assert all(row["eval_return_mean"] and bool(row.get("lambda_f")) is has_failures for row in rows)
    assert OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")) == dataclasses.asdict(config)
    assert bool(list(folder.glob("wandb/*/*.wandb"))) is config.tracking.wandb
    made = {path.name for path in artifacts.glob("demonstrations/*/*") if path.is_dir()}
    assert made == {EXPERT, FAILED} or option == "demonstrations=minari"


@pytest.mark.parametrize("option", [option for option in OPTIONS if option.startswith("experiment=")])
def test_every_job_of_every_experiment_passes_the_checks(option: str) -> None:
    names = []
    of_one_seed = {tuple(o for o in job if not o.startswith("seed=")): job for job in jobs(option)}
    for job in of_one_seed.values():
        config = compose(*job)
        assert config.experiment == option.split("=")[1]  # its runs' folder is called after the file
        names.append((config.env.name, config.algo.name, config.seed, *job))
    assert names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("env", ENVS)
@pytest.mark.parametrize("algo", [option for option in OPTIONS if option.startswith("algo=")])
def test_every_algorithm_fits_every_environment_with_its_own_annotator(algo: str, env: str) -> None:
    config = compose(algo, env)
    assert config.env.name == env.split("=")[1]
    assert config.algo.name == algo.split("=")[1]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(CONF).as_posix())
def test_every_file_opens_with_a_command_and_all_its_commands_work(path: Path) -> None:
    text = path.read_text()
    opening = re.match(r"(#.*\n)+", text)
    assert opening, "it opens with no comment"
    assert "python -m " in opening[0], "its opening comment names no command"
    for module, arguments in re.findall(r"python -m ([\w.]*\w)(.*)", text):
        assert importlib.util.find_spec(module), f"there is no module {module}"
        if module.split(".")[0] == "analysis":
            continue
        for job in jobs(*re.findall(r"\S+=\S*[^\s,]", arguments)):
            compose(*job)


@pytest.mark.parametrize("launcher", ["basic", "joblib"])
def test_another_launcher_can_be_chosen_on_the_command_line(launcher: str) -> None:
    cfg = hydra.compose("config", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert launcher in cfg.hydra.launcher._target_
