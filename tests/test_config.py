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
from helpers import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf

from expert.ppo import PPOExpertConfig
from gailfe.commands import prepare
from gailfe.config.checks import parse
from gailfe.config.folders import job_subfolder
from gailfe.config.keys import ConfigError, check_keys
from gailfe.config.schema import Config
from gailfe.config.targets import typed
from gailfe.pipeline import run
from gailfe.sweep import SweepReport

NAN, INF = float("nan"), float("inf")
COUNT = ([1, 10**9], [0, -3])
SEEDS = ([0, 2**63 - 1], [-1, 2**63, 10**30])
AMOUNT = ([0.0, 0.5, 1e9], [-1e-9, NAN, INF])
POSITIVE = ([1e-9, 3.0], [0.0, -0.1, NAN, INF])
SHARE = ([0.0, 0.5, 1.0], [-1e-9, 1.0001, NAN])
LOG_STD = ([-20.0, -0.5, 2.0], [-20.1, 2.1, NAN, -INF])
NAME = (["hopper", "my-runs.2", "ä_1"], ["", ".", "..", "a/b", "a b", "a,b"])

# By key: values at the edge of what it takes, and values just outside.
EDGES: dict[str, tuple[list[Any], list[Any]]] = {
    "seed": SEEDS,
    "device": (["cpu", "cuda", "cuda:12"], ["gpu", "cpu:0", "cuda:", "mps", ""]),
    "experiment": NAME,
    "checkpoint_every": COUNT,
    "episodes": COUNT,
    "env.name": NAME,
    "env.max_episode_steps": COUNT,
    "env.num_iterations": COUNT,
    "env.ppo.total_steps": COUNT,
    "env.ppo.gamma": SHARE,
    "env.ppo.gae_lambda": SHARE,
    "env.ppo.log_std_init": LOG_STD,
    "env.torso_angle": ([0, 7], [-1]),
    "env.forward_velocity": ([0, 7], [-1]),
    "expert.name": NAME,
    "expert.seed": SEEDS,
    "expert.num_envs": COUNT,
    "expert.steps_per_iteration": ([2, 4096], [1, 0]),  # of one step, the standardised advantage is none
    "expert.total_steps": COUNT,
    "expert.gamma": SHARE,
    "expert.gae_lambda": SHARE,
    "expert.hidden_sizes": ([[1], [100, 100]], [[], [0], [64, -1]]),
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
    "expert.eval_episodes": COUNT,
    "expert.finalists": COUNT,
    "expert.finalist_episodes": COUNT,
    "expert.final_eval_episodes": COUNT,
    "demonstrations.seed": SEEDS,
    "demonstrations.num_trajectories": COUNT,
    "demonstrations.max_attempts": COUNT,
    "demonstrations.earlier_checkpoints": ([0, 10], [-1]),
    "demonstrations.earlier_episodes": COUNT,
    "demonstrations.use_trajectories": COUNT,
    "demonstrations.subsample": COUNT,
    "demonstrations.contamination": ([0.0, 0.99], [-1e-9, 1.0, NAN]),
    "demonstrations.weaker_returns": ([[0.5], [0.1, 0.9]], [[], [0.0], [0.5, 1.0], [NAN]]),
    "evaluation.every": COUNT,
    "evaluation.episodes": COUNT,
    "tracking.mode": (["offline", "online"], ["disabled", "Online"]),
}
NAMES_AND_WORDS = {key for key, (taken, _) in EDGES.items() if isinstance(taken[0], str)}


@pytest.fixture(scope="module")
def default() -> Config:
    return compose()


@pytest.fixture
def config(default: Config) -> Config:
    """One that may be changed."""
    return parse(OmegaConf.structured(default))


def put(config: Config, key: str, value: Any) -> None:
    *path, name = key.split(".")
    node: Any = config
    for part in path:
        node = getattr(node, part)
    assert hasattr(node, name)
    setattr(node, name, value)


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


@pytest.mark.parametrize("suffix", ["", "_2016"])
def test_gail_has_no_failures_and_gailfe_has_all_else_in_common_with_it(suffix: str) -> None:
    gail, gailfe = (compose(f"algo={name}{suffix}").algo for name in ("gail", "gailfe"))
    assert gail.failures is None
    assert gailfe.failures == compose("algo=gailfe").algo.failures
    assert dataclasses.replace(gailfe, name=gail.name, failures=None) == gail


def test_the_papers_probable_setting_is_that_of_openai_baselines() -> None:
    algo = dataclasses.asdict(compose("algo=gail_2016").algo)
    del algo["_target_"], algo["ppo"]  # the latter has no effect
    assert algo == {
        "name": "gail_2016",
        "num_envs": 1,
        "steps_per_iteration": 1024,
        "order": "policy_first",
        "gamma": 0.995,
        "gae_lambda": 0.97,
        "reward": "log_d",
        "lambda_h": 0.0,
        "policy": {"hidden_sizes": [100, 100], "log_std_init": 0.0},
        "value": {"hidden_sizes": [100, 100], "learning_rate": 1e-3, "epochs": 5, "minibatch_size": 128},
        "policy_update": "trpo",
        "trpo": {
            "max_kl": 0.01,
            "cg_iterations": 10,
            "cg_damping": 0.1,
            "fisher_subsample": 5,
            "max_backtracks": 10,
            "backtrack_ratio": 0.5,
        },
        "discriminator": {
            "hidden_sizes": [100, 100],
            "learning_rate": 3e-4,
            "updates": 1,
            "batch_size": None,
            "logit_entropy": 1e-3,
            "gradient_penalty": 0.0,
        },
        "failures": None,
    }


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("num_envs", 0, "at least 1"),
        ("steps_per_iteration", 1, "at least 2"),  # of one step, the standardised advantage is none
        ("gamma", 1.0001, "between 0 and 1"),
        ("gae_lambda", float("nan"), "between 0 and 1"),
        ("lambda_h", -1e-9, "at least 0"),
        ("reward", "log_one_minus_d", "one of log_d, logit"),
        ("policy.hidden_sizes", [], "each at least 1"),
        ("policy.log_std_init", 2.1, "between -20 and 2"),
        ("value.hidden_sizes", [8, 0], "each at least 1"),
        ("value.learning_rate", 0.0, "greater than 0"),
        ("value.epochs", 0, "at least 1"),
        ("value.minibatch_size", 0, "at least 1"),
        ("order", "policy_last", "one of discriminator_first, policy_first"),
        ("trpo.fisher_subsample", 0, "at least 1"),
        ("policy_update", "a2c", "one of trpo, ppo"),
        ("ppo.learning_rate", 0.0, "greater than 0"),
        ("ppo.epochs", 0, "at least 1"),
        ("ppo.minibatch_size", 1, "at least 2"),
        ("ppo.clip", 0.0, "greater than 0"),
        ("ppo.target_kl", 0.0, "greater than 0"),
        ("ppo.max_grad_norm", -1.0, "greater than 0"),
        ("trpo.max_kl", 0.0, "greater than 0"),
        ("trpo.cg_iterations", 0, "at least 1"),
        ("trpo.cg_damping", -0.1, "at least 0"),
        ("trpo.max_backtracks", 0, "at least 1"),
        ("trpo.backtrack_ratio", 1.0, "both excluded"),
        ("discriminator.hidden_sizes", [-1], "each at least 1"),
        ("discriminator.learning_rate", float("nan"), "greater than 0"),
        ("discriminator.updates", 0, "at least 1"),
        ("discriminator.batch_size", 0, "at least 1"),
        ("discriminator.logit_entropy", -1.0, "at least 0"),
        ("discriminator.gradient_penalty", -1.0, "at least 0"),
        ("failures.capacity", 0, "at least 1"),
        ("failures.window", 0, "at least 1"),
        ("failures.z_f", 1e-9, "a log-probability"),
        ("failures.lambda_init", -1.0, "at least 0"),
        ("failures.lambda_learning_rate", -1.0, "at least 0"),
        ("failures.lambda_max", float("inf"), "finite"),
        ("failures.lambda_min", 0.0, "greater than 0"),
        ("failures.margin", float("nan"), "finite"),
        ("failures.rule", "primal", "one of dual, fixed, dual_floor, relative"),
        ("failures.source", "experts", "one of demonstrations, own, both"),
        ("failures.sampling", "steps", "one of pairs, trajectories"),
        ("failures.max_age", 0, "at least 1"),
    ],
)
def test_a_key_of_gailfe_out_of_range_is_refused_by_key_value_and_what_is_valid(
    config: Config, key: str, value: Any, valid: str
) -> None:
    put(config, f"algo.{key}", value)
    with pytest.raises(ConfigError, match=rf"algo\.{key}=.* must be .*{valid}") as caught:
        typed("algo", OmegaConf.structured(config.algo))
    assert f"={value} must" in str(caught.value)


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


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ([], "seed=3"),
        (["algo=gail", "env=hopper", "seed=3", "experiment=quick", "episodes=5"], "seed=3"),
        (
            ["tracking=none", "tracking.mode=online", "paths.runs=/x", "hydra/launcher=basic"],
            "seed=3",
        ),
        (["checkpoint_every=1", "hydra.launcher.n_jobs=2", "+experiment=mine"], "seed=3"),
        (["algo.gamma=0.9", "seed=3"], "seed=3,algo.gamma=0.9"),
        (["env.num_iterations=2", "algo.gamma=0.9"], "seed=3,algo.gamma=0.9,env.num_iterations=2"),
        (["annotator=upside_down"], "seed=3,annotator=upside_down"),
        (["+env.kwargs.x=1", "expert.seed=2"], "seed=3,env.kwargs.x=1,expert.seed=2"),
        (["env.id='a b/c'"], "seed=3,env.id=_a_b_c_"),
        (["algo.policy.hidden_sizes=[8,8]"], "seed=3,algo.policy.hidden_sizes=_8,8_"),
    ],
)
def test_a_run_is_named_after_everything_that_changes_its_numbers(overrides: list[str], name: str) -> None:
    assert job_subfolder("run", "hopper", "gail", 3, overrides) == f"hopper/gail/{name}"
    assert job_subfolder("run", "hopper", "gail", 3, overrides[::-1]) == f"hopper/gail/{name}"


def test_stages_of_their_own_are_named_after_their_overrides() -> None:
    assert job_subfolder("train", "hopper", "gail", 0, []) == "default"
    assert job_subfolder("train", "ant", "gail", 0, ["env=ant", "algo=gail"]) == "algo=gail,env=ant"


def test_many_overrides_still_make_a_folder_name_and_none_like_anothers() -> None:
    keys = [key for key in sorted(set(numbers(Config))) if key != "seed"]
    names = [job_subfolder("run", "e", "a", 0, [*(f"{key}=1" for key in keys), f"seed={n}"]) for n in (0, 0)]
    other = job_subfolder("run", "e", "a", 0, [*(f"{key}=1" for key in keys[:-1]), f"{keys[-1]}=2"])
    assert names[0] == names[1] != other
    assert all(len(part.encode()) <= 255 for name in (*names, other) for part in name.split("/"))
