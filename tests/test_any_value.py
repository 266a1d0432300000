"""Whatever is written at a key, it is taken or refused in a sentence that names the key: never a traceback."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import hydra
import pytest
from algorithms import DEMONSTRATIONS, SMALL, fell, run, shrink, small_run
from helpers import PENDULUM, make_policy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from expert.checkpoints import checkpoint_folder
from expert.collect import collect
from expert.contamination import check_contamination
from expert.own_data import check_own_data
from expert.subsampling import choose_pairs
from gailfe.algorithms.learner import Learner, make_learner
from gailfe.algorithms.ppo import PPO
from gailfe.commands import prepare
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError, Refusal
from gailfe.config.schema import Config, DemonstrationsConfig
from gailfe.config.writable import check_paths
from gailfe.envs.making import spaces_of
from gailfe.nn.policy_file import save_policy
from gailfe.pipeline import run as start_run
from gailfe.soundness import Diverged, check_finite
from gailfe.storage.files import write_json
from gailfe.storage.names import EVALUATION

SB3 = ("expert=sb3", "expert.file=x.zip", "expert.algo=sac", "expert.allow_pickle=true")
BASES = (
    ("algo=gailfe", "expert=ppo"),
    ("algo=gail", "expert=pretrained", "demonstrations=minari", "demonstrations.dataset=mine"),
    ("algo=bc", *SB3, "env=halfcheetah", "annotator=any_of"),
)
INTEGERS = [-1, 0, 1, 2, 2**31, 2**63, -(2**63) - 1, 10**30]
FLOATS = [0.0, -0.0, 1e-320, 1e38, 1e308, float("nan"), float("inf"), -float("inf")]
TEXTS = ["", " ", "???", "${seed}", "${nowhere}", "${", "nan", "1e400", "a/b", "..", "\0", "é\n", "null"]
SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.binary(max_size=4)),
    *(st.sampled_from(INTEGERS), st.sampled_from(FLOATS), st.sampled_from(TEXTS)),
)
VALUES = st.one_of(
    SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.text(max_size=4), SCALARS, max_size=2)
)
NUMBERS = st.one_of(  # that make no training large
    *(st.none(), st.integers(-1, 70), st.lists(st.integers(0, 5), max_size=2)),
    st.sampled_from([0.0, 1e-320, 1e-30, 1e-6, 0.5, 1.5, 30.0, 1e30, 1e38, 1e300, 2**63 - 1, -1e9]),
)
bounded = functools.partial(  # the same examples every time, however slow the machine is
    settings, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@functools.cache
def composed(base: tuple[str, ...]) -> DictConfig:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        return hydra.compose("config", list(base))


def keys_of(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key, of groups too."""
    for name in node:
        yield f"{prefix}{name!s}"
        child = OmegaConf.select(node, str(name), throw_on_missing=False)
        if isinstance(child, DictConfig):
            yield from keys_of(child, f"{prefix}{name!s}.")


@st.composite
def overrides(draw: st.DrawFn, below: str = "") -> tuple[DictConfig, str, Any]:
    """A configuration, and a key of it and a value."""
    config = composed(draw(st.sampled_from(BASES)))
    key = draw(st.sampled_from([key for key in keys_of(config) if key.startswith(below)]))
    return copy.deepcopy(config), key, draw(VALUES)


def put(config: DictConfig, key: str, value: Any) -> bool:
    """Whether Hydra takes the value, as it takes `key=value` on a command line; what it refuses, it names."""
    try:
        OmegaConf.update(config, key, value, merge=True)
    except (OmegaConfBaseException, ValueError):
        return False
    return True


def refused(check: Callable[[DictConfig], Config], config: DictConfig) -> str:
    """What a check says against a configuration; empty if it takes it."""
    try:
        check(config)
    except ConfigError as error:
        return str(error)
    return ""


@given(overrides())
@bounded(max_examples=400)
def test_any_value_of_any_key_is_taken_or_refused_by_name(override: tuple[DictConfig, str, Any]) -> None:
    config, key, value = override
    if put(config, key, value):
        said = refused(parse, config)
        assert said == "" or key in said


@given(overrides("env."))
@bounded(max_examples=60)
def test_an_environment_with_any_value_can_be_made_or_is_refused_by_name(
    override: tuple[DictConfig, str, Any],
) -> None:
    config, key, value = override
    if put(config, key, value):
        said = refused(prepare, config)
        assert said == "" or key in said or "env.id=" in said


@st.composite
def small_overrides(draw: st.DrawFn) -> tuple[str, DictConfig, str, Any]:
    """The key of a small training, its configuration, and a key below that one and a number."""
    group = draw(st.sampled_from(["algo", "expert"]))
    config = small_run(draw(st.sampled_from(["gailfe", "bc"])))
    shrink(config.expert, SMALL)
    node = OmegaConf.structured(config)
    key = draw(st.sampled_from([key for key in keys_of(node) if key.startswith(f"{group}.")]))
    return group, node, key, draw(NUMBERS)


@given(small_overrides())
@bounded(max_examples=60)
def test_what_is_taken_can_be_learned_with_or_ends_by_iteration_and_quantity(
    override: tuple[str, DictConfig, str, Any],
) -> None:
    group, node, key, value = override
    if not put(node, key, value) or refused(parse, node):
        return
    config = parse(node)
    learner: Learner = (
        PPO(config.expert, config.env) if group == "expert" else make_learner(config, DEMONSTRATIONS, fell)
    )
    said = ""
    try:
        for iteration in (1, 2):
            check_finite(learner, {"iteration": iteration} | learner.iterate(), saved=0)
    except Diverged as error:
        said = str(error)
    assert said == "" or said.startswith(f"iteration {iteration}: NaN or infinite: ")


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an expert, whose policy is untrained, and of two earlier checkpoints."""
    folder = tmp_path_factory.mktemp("expert")
    space = spaces_of(PENDULUM).action
    for at, reached in ((folder, 1.0), (checkpoint_folder(folder, 1), 0.2), (checkpoint_folder(folder, 2), 0.7)):
        save_policy(at, make_policy(3, 1, space=space))
        write_json(at / EVALUATION, {"eval_return_mean": reached})
    return folder


SMALL_VALUES = st.one_of(  # that make no collection large
    *(NUMBERS, st.booleans(), st.sampled_from(TEXTS), st.lists(SCALARS, max_size=2))
)
COLLECTED = (
    *("env=pendulum", "env.max_episode_steps=4", "expert.eval_episodes=1", "annotator.arguments.fraction=0"),
    *("demonstrations.num_trajectories=2", "demonstrations.earlier_checkpoints=1"),
    *("demonstrations.earlier_episodes=2", "demonstrations.contamination=0.5"),
)


@given(key=st.sampled_from(sorted(f.name for f in fields(DemonstrationsConfig))), value=SMALL_VALUES)
@bounded(max_examples=40)
def test_demonstrations_with_any_value_are_collected_or_refused_by_name(
    expert: Path, key: str, value: Any
) -> None:
    node = copy.deepcopy(composed(COLLECTED))
    if not put(node, f"demonstrations.{key}", value):
        return
    said = f"demonstrations.{key}"
    try:
        config = parse(node)
        if config.demonstrations.dataset is None:
            check_contamination(config)
            demonstrations, _ = collect(config, expert)
            chosen = choose_pairs(demonstrations.expert, config.demonstrations, config.seed)
            assert all(map(len, chosen))
        else:
            check_own_data(config)
    except Refusal as error:
        said = str(error)
    assert f"demonstrations.{key}" in said


LOOPED = ["seed", "checkpoint_every", "env.num_iterations", "evaluation.every", "evaluation.episodes"]


@given(key=st.sampled_from(LOOPED), value=NUMBERS)
@bounded(max_examples=15)
def test_a_run_with_any_value_of_its_loop_is_trained_or_refused_by_name(key: str, value: Any) -> None:
    node = OmegaConf.structured(small_run("bc", "env.num_iterations=2"))
    if not put(node, key, value):
        return
    said = refused(parse, node)
    assert said == "" or key in said
    if said == "" and node.env.num_iterations < 100:
        with tempfile.TemporaryDirectory() as folder:
            run(parse(node), Path(folder, "run"))


class Began(Exception):
    """The first work of a job."""


def begin(*arguments: Any) -> Path:
    raise Began


STARTED = ("env=halfcheetah", "expert=pretrained", "annotator=no_progress")


@given(
    key=st.sampled_from(
        [key for key in keys_of(composed(STARTED)) if key.startswith(("tracking.", "paths.", "study"))]
    ),
    value=VALUES,
)
@bounded(max_examples=60)
def test_a_job_with_any_value_of_where_it_writes_begins_or_is_refused_by_name(key: str, value: Any) -> None:
    node = copy.deepcopy(composed(STARTED))
    if str(value).startswith("/") or not put(node, key, value):  # not at the root of this machine
        return
    said = key
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("gailfe.pipeline.make_expert", begin)
        below = Path(folder, *"abcdefgh")  # ".." stays within
        below.mkdir(parents=True)
        patch.chdir(below)
        try:
            config = parse(node)
            check_paths(vars(config.paths))
            start_run(config, Path(config.paths.runs, config.study, "run"))
        except Refusal as error:
            said = str(error)
        except Began:
            pass
    assert key in said
