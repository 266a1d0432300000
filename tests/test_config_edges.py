"""Every number of the configuration: what its key takes, and what it refuses."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from helpers import compose, put

from expert.ppo import PPOExpertConfig
from gailfe.config.keys import ConfigError, check_keys
from gailfe.config.schema import Config

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
