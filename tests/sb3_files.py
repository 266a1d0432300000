"""Models and statistics as people save them with Stable-Baselines3, and the configuration that takes them.

The models are untrained, which is enough to act.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import hydra
import numpy as np

from gailfe.config.checks import parse
from gailfe.config.schema import Config

ALGORITHMS = ["A2C", "ARS", "CrossQ", "DDPG", "PPO", "SAC", "TD3", "TQC", "TRPO"]


def save_model(path: Path, algorithm: str, env: str = "Pendulum-v1", seed: int = 0, **arguments: Any) -> Any:
    """The model, with small networks, and its file at `path`."""
    import sb3_contrib
    import stable_baselines3

    package = stable_baselines3 if hasattr(stable_baselines3, algorithm) else sb3_contrib
    networks = {"policy_kwargs": {"net_arch": [8]}, **arguments}
    model = getattr(package, algorithm)("MlpPolicy", gymnasium.make(env), seed=seed, device="cpu", **networks)
    if algorithm == "ARS":  # it begins with zeros
        for parameter in model.policy.parameters():
            parameter.data.uniform_(-1, 1)
    model.save(path)
    return model


def normalized(path: Path, env: str = "Pendulum-v1", **arguments: Any) -> Any:
    """A VecNormalize that has seen observations, and its file at `path`."""
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    vector = VecNormalize(make_vec_env(env), **arguments)
    space = vector.observation_space
    assert space.shape is not None
    vector.obs_rms.update(1.0 + 3.0 * np.random.default_rng(1).normal(size=(50, *space.shape)))
    vector.save(str(path))
    return vector


def compose(path: Path, algo: str, *overrides: str) -> Config:
    """The model at `path` as the expert of a short Pendulum."""
    chosen = ["expert=sb3", f"expert.file={path}", f"expert.algo={algo.lower()}", "expert.allow_pickle=true"]
    with hydra.initialize_config_module("conf", version_base="1.3"):
        return parse(hydra.compose("config", ["env=pendulum", "env.max_episode_steps=20", *chosen, *overrides]))
