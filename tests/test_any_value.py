"""Whatever is written at a key, it is taken or refused in a sentence that names the key: never a traceback."""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from typing import Any

import hydra
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gailfe.commands import prepare
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError

BASES = (
    ("algo=gailfe", "expert=ppo"),
    ("algo=gail", "expert=pretrained", "demonstrations=minari", "demonstrations.dataset=mine"),
    ("algo=bc", "expert=sb3", "expert.file=x.zip", "expert.algo=sac", "expert.allow_pickle=true", "env=halfcheetah", "annotator=any_of"),
)
bounded = functools.partial(
    settings, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2, 2**31, 2**63, -(2**63) - 1, 10**30]),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e-320, 1e38, 1e308, float("nan"), float("inf"), -float("inf")]),
    st.text(max_size=8),
    st.sampled_from(["", " ", "???", "${seed}", "${nowhere}", "${", "nan", "1e400", "a/b", "..", "\0", "é\n", "null"]),
    st.binary(max_size=4),
)
VALUES = st.one_of(
    SCALARS,
    st.lists(SCALARS, max_size=3),
    st.dictionaries(st.text(max_size=4), SCALARS, max_size=2),
)


@functools.cache
def composed(base: tuple[str, ...]) -> DictConfig:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        return hydra.compose("config", list(base))


def keys_of(node: DictConfig, prefix: str = "") -> Iterator[str]:
    """Every key, of groups too."""
    for name in node:
        yield f"{prefix}{name}"
        child = OmegaConf.select(node, str(name), throw_on_missing=False)
        if isinstance(child, DictConfig):
            yield from keys_of(child, f"{prefix}{name}.")


@st.composite
def overrides(draw: st.DrawFn, only: str = "") -> tuple[DictConfig, str, Any]:
    """A configuration, and a key and a value to put there."""
    config = composed(draw(st.sampled_from(BASES)))
    key = draw(st.sampled_from([key for key in keys_of(config) if key.startswith(only)]))
    return copy.deepcopy(config), key, draw(VALUES)


def put(config: DictConfig, key: str, value: Any) -> bool:
    """Whether Hydra takes the value, as it takes `key=value` on a command line."""
    try:
        OmegaConf.update(config, key, value, merge=True)
    except (OmegaConfBaseException, ValueError) as error:
        assert isinstance(error, OmegaConfBaseException) or type(error) is ValueError
        return False
    return True


@given(overrides())
@bounded(max_examples=600)
def test_any_value_of_any_key_is_taken_or_refused_by_name(override: tuple[DictConfig, str, Any]) -> None:
    config, key, value = override
    if put(config, key, value):
        try:
            parse(config)
        except ConfigError as error:
            assert key in str(error)


@given(overrides("env."))
@bounded(max_examples=150)
def test_an_environment_with_any_value_can_be_made_or_is_refused_by_name(
    override: tuple[DictConfig, str, Any],
) -> None:
    config, key, value = override
    if put(config, key, value):
        try:
            prepare(config)
        except ConfigError as error:
            assert key in str(error) or "env.id=" in str(error)
