"""The keys of GAIL and GAILFE: their ranges, and what the files of conf/algo/ have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from helpers import compose, put
from omegaconf import OmegaConf

from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.config.targets import typed


@pytest.fixture
def config() -> Config:
    return compose()


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
            "gradient_norm": 0.0,
        },
        "failures": None,
    }


@pytest.mark.parametrize(
    ("key", "value", "valid"),
    [
        ("num_envs", 0, "at least 1"),
        ("num_envs", 10_001, "at most 10000: an environment each"),
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
        ("discriminator.batch_size", 2**63 - 1, "at most"),
        ("discriminator.logit_entropy", -1.0, "at least 0"),
        ("discriminator.gradient_penalty", -1.0, "at least 0"),
        ("discriminator.gradient_norm", -1.0, "at least 0"),
        ("failures.capacity", 0, "at least 1"),
        ("failures.window", 0, "at least 1"),
        ("failures.z_f", 1e-9, "a log-probability"),
        ("failures.lambda_init", -1.0, "at least 0"),
        ("failures.lambda_learning_rate", -1.0, "at least 0"),
        ("failures.lambda_max", float("inf"), "finite"),
        ("failures.lambda_min", 0.0, "greater than 0"),
        ("failures.margin", float("nan"), "finite"),
        ("failures.reach", -0.1, "at least 0"),
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
