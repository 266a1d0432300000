"""PPO by Stable-Baselines3 with RL Baselines3 Zoo's tuned hyperparameters, for `python -m benchmarks.peers`.

Trains until an evaluation, at equal intervals of environment steps, reaches the target; the seconds are those of
collecting and learning, without evaluations.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from torch import nn

from benchmarks.peer_report import first_reaching, read_settings, report

PACKAGES = ("stable-baselines3", "torch", "gymnasium", "mujoco", "numpy")

# rl_zoo3 2.9.2, hyperparams/ppo.yml, entries Hopper-v4 and HalfCheetah-v4: `normalize: true` (VecNormalize of
# observations and rewards, with PPO's gamma), `n_envs: 1`, `policy: MlpPolicy`. It has no entries for v5.
NETWORKS = {
    "log_std_init": -2,
    "ortho_init": False,
    "activation_fn": nn.ReLU,
    "net_arch": {"pi": [256, 256], "vf": [256, 256]},
}
TUNED: dict[str, dict[str, Any]] = {
    "Hopper-v5": {
        "batch_size": 32,
        "n_steps": 512,
        "gamma": 0.999,
        "learning_rate": 9.80828e-05,
        "ent_coef": 0.00229519,
        "clip_range": 0.2,
        "n_epochs": 5,
        "gae_lambda": 0.99,
        "max_grad_norm": 0.7,
        "vf_coef": 0.835671,
    },
    "HalfCheetah-v5": {
        "batch_size": 64,
        "n_steps": 512,
        "gamma": 0.98,
        "learning_rate": 2.0633e-05,
        "ent_coef": 0.000401762,
        "clip_range": 0.1,
        "n_epochs": 20,
        "gae_lambda": 0.92,
        "max_grad_norm": 0.8,
        "vf_coef": 0.58096,
    },
}


def main() -> None:
    settings = read_settings()
    env_id, seed = settings["env_id"], settings["seed"]
    torch.set_num_threads(1)
    tuned = TUNED[env_id]
    env = VecNormalize(DummyVecEnv([maker(env_id)]), gamma=tuned["gamma"])
    model = PPO("MlpPolicy", env, policy_kwargs=NETWORKS, seed=seed, device="cpu", **tuned)
    evaluation_env = DummyVecEnv([maker(env_id)] * settings["episodes"])
    curve: list[tuple[int, float, float]] = []
    seconds = 0.0
    while model.num_timesteps < settings["max_steps"] and seconds < settings["max_seconds"]:
        started = time.perf_counter()
        steps = min(settings["interval"], settings["max_steps"] - model.num_timesteps)
        model.learn(steps, reset_num_timesteps=False)  # goes on with the episode that it is in
        seconds += time.perf_counter() - started
        curve.append((model.num_timesteps, seconds, evaluate(model, env, evaluation_env)))
        print(f"{model.num_timesteps} steps, {seconds:.0f} s: return {curve[-1][2]:.0f}", flush=True)
        if curve[-1][2] >= settings["target"]:
            break
    report("Stable-Baselines3", env_id, PACKAGES, {**first_reaching(curve, settings["target"]), "curve": curve})


def maker(env_id: str) -> Callable[[], gymnasium.Env]:
    return lambda: Monitor(gymnasium.make(env_id))


def evaluate(model: PPO, normalization: VecNormalize, env: DummyVecEnv) -> float:
    """Mean undiscounted return of the mean action: the first episode of every one of `env`'s environments.

    Always from the same initial states, as on our side.
    """
    env.seed(1)
    observations = env.reset()
    returns, active = np.zeros(env.num_envs), np.ones(env.num_envs, dtype=bool)
    while active.any():
        actions, _ = model.predict(normalization.normalize_obs(observations), deterministic=True)
        observations, rewards, done, _ = env.step(actions)
        returns += rewards * active
        active &= ~done
    return float(returns.mean())


if __name__ == "__main__":
    main()
