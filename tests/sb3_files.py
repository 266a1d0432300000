"""Models as people save them with Stable-Baselines3: untrained, which is enough to act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium

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
