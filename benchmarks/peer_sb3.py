"""PPO by Stable-Baselines3 with RL Baselines3 Zoo's tuned hyperparameters, for `python -m benchmarks.peers`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from benchmarks.peer_report import measure, read_settings, report

PACKAGES = ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")

# RL Baselines3 Zoo's tuned hyperparameters. Common to both: `normalize: true` (VecNormalize of observations and
# rewards, with PPO's gamma), `n_envs: 1`, `policy: MlpPolicy`, and these networks.
TUNED = json.loads((Path(__file__).parent / "settings" / "sb3.json").read_text())
NETWORKS = {
    "log_std_init": -2,
    "ortho_init": False,
    "activation_fn": nn.ReLU,
    "net_arch": {"pi": [256, 256], "vf": [256, 256]},
}


def main() -> None:
    settings = read_settings()
    env_id = settings["env_id"]
    torch.set_num_threads(1)
    tuned = TUNED[env_id]
    env = VecNormalize(DummyVecEnv([lambda: Monitor(gymnasium.make(env_id))]), gamma=tuned["gamma"])
    model = PPO("MlpPolicy", env, policy_kwargs=NETWORKS, seed=settings["seed"], device="cpu", **tuned)

    def iterations() -> Iterator[int]:
        while True:
            steps = min(settings["interval"], settings["max_steps"] - model.num_timesteps)
            model.learn(steps, reset_num_timesteps=False)  # goes on with the episode that it is in
            yield model.num_timesteps

    result = measure(
        settings,
        iterations(),
        lambda observations: model.predict(env.normalize_obs(observations), deterministic=True)[0],
    )
    report("Stable-Baselines3", env_id, PACKAGES, result)


if __name__ == "__main__":
    main()
