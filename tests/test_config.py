"""The configuration: what is refused before any work starts, and in which words."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from helpers import compose, put
from hydra.errors import HydraException
from omegaconf import OmegaConf

from expert.ppo import PPOExpertConfig
from gailfe.commands import prepare
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError, check_keys
from gailfe.config.schema import Config
from gailfe.pipeline import run
from gailfe.sweep import SweepReport

NAN, INF = float("nan"), float("inf")
COUNT = ([1, 10**9], [0, -3])
ENVIRONMENTS = ([1, 10_000], [0, -3, 10_001])
IN_MEMORY = ([1, 2**24], [0, -3, 2**24 + 1])
SEEDS = ([0, 2**63 - 1], [-1, 2**63, 10**30])
AMOUNT = ([0.0, 0.5, 1e9], [-1e-9, NAN, INF])
POSITIVE = ([1e-9, 3.0], [0.0, -0.1, NAN, INF])
SHARE = ([0.0, 0.5, 1.0], [-1e-9, 1.0001, NAN])
LOG_STD = ([-20.0, -0.5, 2.0], [-20.1, 2.1, NAN, -INF])
NAME = (["hopper", "my-runs.2", "ä_1", "n" * 100], ["", ".", "..", "a/b", "a b", "a,b", "n" * 101, "ä" * 51])

# By key: values at the edge of what it takes, and values just outside.
EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "seed": SEEDS,
    "device": (["cpu", "cuda", "cuda:12"], ["gpu", "cpu:0", "cuda:", "mps", ""]),
    "experiment": NAME,
    "study": NAME,
    "checkpoint_every": COUNT,
    "episodes": ENVIRONMENTS,
    "env.name": NAME,
    "env.max_episode_steps": COUNT,
    "env.num_iterations": COUNT,
    "env.ppo.total_steps": COUNT,
    "env.ppo.gamma": SHARE,
    "env.ppo.gae_lambda": SHARE,
    "env.ppo.log_std_init": LOG_STD,
    "env.gradient_penalty": ([0, 10], [-0.1, float("nan")]),
    "env.torso_angle": ([0, 7], [-1]),
    "env.forward_velocity": ([0, 7], [-1]),
    "expert.name": NAME,
    "expert.seed": SEEDS,
    "expert.num_envs": ENVIRONMENTS,
    "expert.steps_per_iteration": ([2, 4096], [1, 0, 2**63]),  # of one step, the standardised advantage is none
    "expert.total_steps": COUNT,
    "expert.gamma": SHARE,
    "expert.gae_lambda": SHARE,
    "expert.hidden_sizes": ([[1], [100, 100]], [[], [0], [64, -1], [2**16 + 1]]),
    "expert.activation": (["tanh", "relu"], ["sigmoid", ""]),
    "expert.log_std_init": LOG_STD,
    "expert.learning_rate": POSITIVE,
    "expert.epochs": COUNT,
    "expert.minibatch_size": ([2, 4096], [1, 0]),
    "expert.clip": POSITIVE,
    "expert.entropy_coefficient": AMOUNT,
    "expert.max_grad_norm": POSITIVE,
    "expert.target_kl": POSITIVE,
    "expert.eval_every": COUNT,
    "expert.eval_episodes": ENVIRONMENTS,
    "expert.finalists": COUNT,
    "expert.finalist_episodes": ENVIRONMENTS,
    "expert.final_eval_episodes": ENVIRONMENTS,
    "demonstrations.seed": SEEDS,
    "demonstrations.num_trajectories": IN_MEMORY,
    "demonstrations.max_attempts": IN_MEMORY,
    "demonstrations.earlier_checkpoints": ([0, 10_000], [-1, 10**13]),
    "demonstrations.earlier_episodes": IN_MEMORY,
    "demonstrations.use_trajectories": COUNT,
    "demonstrations.subsample": COUNT,
    "demonstrations.contamination": ([0.0, 0.99], [-1e-9, 1.0, NAN]),
    "demonstrations.weaker_returns": ([[0.5], [0.1, 0.9]], [[], [0.0], [0.5, 1.0], [NAN]]),
    "evaluation.every": COUNT,
    "evaluation.episodes": ENVIRONMENTS,
    "tracking.artifact_mb": ([0.0, 1e6], [-1.0, NAN]),
    "tracking.project": (["gailfe", "my project.1", "p" * 128], ["", "p" * 129, *(f"a{c}b" for c in "/\\#?%:")]),
    "tracking.mode": (["offline", "online"], ["disabled", "Online"]),
}
NAMES_AND_WORDS = {key for key, (taken, _) in EDGES.items() if isinstance(taken[0], str)}


@pytest.fixture
def config() -> Config:
    return compose()


def refusal(*overrides: str) -> str:
    """All that is said when the overrides are refused, as a user gets to see it."""
    with pytest.raises((ConfigError, HydraException)) as caught:
        compose(*overrides)
    return f"{caught.value}\n{caught.value.__cause__}"


def objection(config: Config) -> str:
    try:
        check_keys(config)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("key", EDGES)
def test_a_value_that_a_key_does_not_allow_is_refused_by_key_and_value(config: Config, key: str) -> None:
    for value in EDGES[key][1]:
        put(config, key, value)
        assert objection(config).startswith(f"{key}={value} must be ")


@pytest.mark.parametrize("key", EDGES)
def test_values_at_the_edge_of_what_a_key_allows_are_taken(config: Config, key: str) -> None:
    for value in EDGES[key][0]:
        put(config, key, value)
        assert objection(config) == ""


def numbers(schema: Any, prefix: str = "") -> Iterator[str]:
    """The keys of all numbers, and lists of them, in a dataclass and those below."""
    for name, kind in typing.get_type_hints(schema).items():
        options = set(typing.get_args(kind)) if isinstance(kind, types.UnionType) else {kind}
        for option in options - {type(None)}:
            if dataclasses.is_dataclass(option):
                yield from numbers(option, f"{prefix}{name}.")
            elif option in (int, float, list[int], list[float]):
                yield prefix + name


def test_every_number_has_edges() -> None:
    assert {*numbers(Config), *numbers(PPOExpertConfig, "expert.")} == EDGES.keys() - NAMES_AND_WORDS


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
