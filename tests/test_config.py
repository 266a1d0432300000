"""The configuration: what is refused before any work starts, and in which words."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import hydra
import pytest
from helpers import compose, put
from hydra.errors import HydraException
from omegaconf import OmegaConf

from gailfe.commands import prepare
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.pipeline import run
from gailfe.sweep import SweepReport

NAN, INF = float("nan"), float("inf")


@pytest.fixture
def config() -> Config:
    return compose()


def refusal(*overrides: str) -> str:
    """All that is said when the overrides are refused, as a user gets to see it."""
    with pytest.raises((ConfigError, HydraException)) as caught:
        compose(*overrides)
    return f"{caught.value}\n{caught.value.__cause__}"


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["algo.num_envs=7"], ["algo.num_envs=7", "algo.steps_per_iteration=1024", "divide"]),
        (["expert.num_envs=3"], ["expert.num_envs=3", "expert.steps_per_iteration=2048", "divide"]),
        (["env=halfcheetah", "annotator=terminated"], ["annotator=terminated", "env.terminates", "halfcheetah"]),
        (["env=ant", "annotator=any_of"], ["annotator=any_of", "env.torso_angle", "ant"]),
        (["env=pendulum", "annotator=upside_down"], ["annotator=upside_down", "env.torso_angle", "pendulum"]),
        (["env.name=a/b"], ["env.name=a/b", "folder"]),
        (["algo.name=.."], ["algo.name=..", "folder"]),
        (["env.name=."], ["env.name=.", "folder"]),
        (["algo.failures.lambda_init=20"], ["algo.failures.lambda_init=20", "lambda_max=10"]),
        (
            ["algo.failures.rule=dual_floor", "algo.failures.lambda_init=0.05"],
            ["algo.failures.lambda_init=0.05", "lambda_min=0.1", "rule=dual_floor"],
        ),
        (["expert=pretrained", "demonstrations.earlier_checkpoints=1"], ["earlier_checkpoints=1", "pretrained"]),
        (["expert._target_=nowhere.Expert"], ["expert._target_=nowhere.Expert", "imported"]),
        (["expert._target_=builtins.dict"], ["expert._target_=builtins.dict", "Config"]),
        (["seed=123456789012345678901234567890"], ["seed=123456789012345678901234567890", "below 2**63"]),
        (["expert.learning_rate=inf"], ["expert.learning_rate=inf", "finite"]),
        (["demonstrations.weaker_policies=[]"], ["demonstrations.weaker_policies=[]", "at least one folder"]),
        (["expert.gama=0.9"], ["expert", "gama"]),
        (["+expert.gama=0.9"], ["expert", "gama"]),
        (
            ["algo.policy_update=ppo", "algo.ppo.minibatch_size=341"],
            ["algo.ppo.minibatch_size=341", "algo.steps_per_iteration=1024"],
        ),
        (["demonstrations.max_attempts=29"], ["max_attempts=29", "num_trajectories=30"]),
        (["demonstrations=minari"], ["demonstrations.dataset=None", "folder"]),
        (["demonstrations.split=true"], ["demonstrations.split=True", "demonstrations=minari"]),
        (["demonstrations.failed_dataset=x"], ["failed_dataset=x", "demonstrations.dataset=<folder>"]),
        (["demonstrations.use_trajectories=31"], ["use_trajectories=31", "num_trajectories=30"]),
        (["expert.minibatch_size=2047"], ["expert.minibatch_size=2047", "expert.steps_per_iteration=2048"]),
        (["~experiment"], ["experiment"]),
        (["seed=abc"], ["seed", "'abc'", "Integer"]),
        (["algo.gamma=high"], ["algo.gamma", "'high'", "Float"]),
        (["algo.policy.hidden_sizes=[8,a]"], ["algo.policy.hidden_sizes[1]", "'a'", "Integer"]),
        (["expert.anneal=maybe"], ["expert.anneal", "'maybe'", "bool"]),
        (["algo.gama=0.9"], ["algo.gama"]),
        (["+algo.gama=0.9"], ["algo.gama"]),
        (["env=nope"], ["env/nope", "hopper", "pendulum"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_names_no_experiment_is_refused_and_the_message_says_why(
    overrides: list[str], parts: list[str]
) -> None:
    said = refusal(*overrides)
    for part in parts:
        assert part in said


def test_what_an_environment_lacks_may_be_supplied_and_its_annotator_replaced() -> None:
    config = compose("env=ant", "annotator=upside_down", "env.torso_angle=3")
    assert config.annotator.function == "expert.annotators.upside_down"
    assert config.annotator.arguments["torso_angle"] == 3
    assert compose("env=halfcheetah").annotator.name == "upside_down"  # the one that fits the task
    assert compose("env=walker2d", "annotator=upside_down").annotator.name == "upside_down"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("my_package.MyLearner", "algo._target_=my_package.MyLearner can't be imported"),
        ("gailfe.training.train", "algo._target_=gailfe.training.train can't be imported"),
        ("pathlib.Path", "algo._target_=pathlib.Path must be a class with a dataclass `Config`"),
    ],
)
def test_an_algorithm_that_is_no_class_with_keys_is_refused(target: str, said: str) -> None:
    assert said in refusal(f"algo._target_={target}")


def test_an_environment_that_gymnasium_does_not_know_is_refused(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"env\.id=Hoper-v5"):
        prepare(
            OmegaConf.structured(dataclasses.replace(config, env=dataclasses.replace(config.env, id="Hoper-v5")))
        )


@pytest.mark.parametrize("key", ["torso_angle", "forward_velocity"])
def test_an_index_beyond_the_observation_is_refused(config: Config, key: str) -> None:
    setattr(config.env, key, 11)
    with pytest.raises(ConfigError, match=rf"env\.{key}=11 must index an observation of Hopper-v5: 0 to 10"):
        prepare(OmegaConf.structured(config))


@pytest.mark.parametrize(("key", "value"), [("function", "my_failures.typo"), ("arguments", {"anlge": 1})])
def test_an_annotator_that_cannot_be_called_is_refused_before_the_expert_is_trained(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str, value: Any
) -> None:
    config.paths.artifacts = str(tmp_path / "artifacts")
    config.tracking.wandb = False
    put(config, f"annotator.{key}", value)
    monkeypatch.setattr("gailfe.pipeline.make_expert", lambda *_: pytest.fail("the expert's training began"))
    with pytest.raises(ConfigError, match=f"annotator.{key}"):
        run(config, tmp_path / "run")


def test_a_sweep_with_a_wrong_value_is_refused_before_it_starts_and_says_what_is_wrong() -> None:
    task = ["algo=gail,gailfe", "seed=0,abc"]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        sweep = hydra.compose("config", return_hydra_config=True)
        OmegaConf.set_readonly(sweep.hydra, False)
        sweep.hydra.overrides.task, sweep.hydra.job.config_name = task, "config"
        with pytest.raises(SystemExit) as caught:
            SweepReport().on_multirun_start(sweep)
    for part in ("seed=abc", "Integer"):
        assert part in str(caught.value)


@pytest.mark.parametrize("group", ["annotator", "demonstrations", "evaluation"])
def test_a_number_where_keys_must_be_is_refused_by_name(group: str) -> None:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        config = hydra.compose("config")
    OmegaConf.update(config, group, "${seed}", merge=False)
    with pytest.raises(ConfigError, match=rf"^{group}=0 must hold keys: "):
        parse(config)
