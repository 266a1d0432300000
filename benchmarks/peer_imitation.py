"""GAIL by imitation 1.0.1, for `python -m benchmarks.peers`.

part=gail: TRPO of sb3-contrib with the sizes, step counts and batch sizes of our config. What only ours does (a
gradient penalty, normalised observations for the policy, evaluation, tracking) is left out: it would only slow
this side down.

part=imitate: PPO with the settings that the library's authors tuned for its benchmark, on seals/Hopper-v1 and
seals/HalfCheetah-v1.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jsonpickle
import numpy as np
import torch
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.rewards.reward_nets import BasicRewardNet, NormalizedRewardNet
from imitation.util.logger import configure
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from sb3_contrib import TRPO
from torch import nn

from benchmarks.peer_report import measure, read_settings, report

PACKAGES = ("imitation", "stable-baselines3", "sb3-contrib", "torch", "gymnasium", "mujoco", "numpy")
TUNED = files("imitation") / "scripts" / "config" / "tuned_hps"  # it comes with the library
TUNED_FILES = {"hopper": "gail_seals_hopper", "halfcheetah": "gail_seals_half_cheetah"}
TUNED_ENVS = 8  # imitation.scripts.ingredients.environment's default, num_vec


def main() -> None:
    settings = read_settings()
    settings["env_id"] = settings["env_id"].replace("-v5", "-v4")  # all that Gymnasium 0.29 has; the same physics
    torch.set_num_threads(1)
    torch.manual_seed(settings["seed"])
    tuned = settings["part"] == "imitate"
    num_envs = TUNED_ENVS if tuned else settings["algo"]["num_envs"]
    venv = make_vec_env(settings["env_id"], rng=np.random.default_rng(settings["seed"]), n_envs=num_envs)
    with tempfile.TemporaryDirectory() as folder:
        learner, reward_net, sizes = (make_tuned if tuned else make_as_ours)(settings, venv)
        trainer = GAIL(
            demonstrations=read_demonstrations(settings["demonstrations"]),
            venv=venv,
            gen_algo=learner,
            reward_net=reward_net,
            allow_variable_horizon=True,  # Hopper's episodes end when it falls
            log_dir=folder,
            custom_logger=configure(folder, ["csv"]),
            **sizes,
        )

        def act(observations: np.ndarray) -> np.ndarray:
            return trainer.policy.predict(observations, deterministic=True)[0]

        result = measure(settings, iterations(trainer), act)
    report("imitation", settings["env_id"], PACKAGES, result)


def iterations(trainer: GAIL) -> Iterator[int]:
    """Rounds of the library's own training; the environment steps after each."""
    while True:
        trainer.train(trainer.gen_train_timesteps)
        yield trainer.gen_algo.num_timesteps


def make_tuned(settings: dict[str, Any], venv: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Learner, reward network, and the other settings of GAIL."""
    text = (TUNED / f"{TUNED_FILES[settings['env']]}_best_hp_eval.json").read_text()
    tuned = jsonpickle.decode(text)
    rl, policy, reward = tuned["rl"], tuned["policy"], tuned["reward"]
    learner = rl["rl_cls"](
        policy["policy_cls"],
        venv,
        n_steps=rl["batch_size"] // venv.num_envs,
        policy_kwargs=policy["policy_kwargs"],
        seed=settings["seed"],
        device="cpu",
        **rl["rl_kwargs"],
    )
    net = reward["net_cls"](venv.observation_space, venv.action_space, **reward["net_kwargs"])
    return learner, NormalizedRewardNet(net, reward["normalize_output_layer"]), tuned["algorithm_kwargs"]


def make_as_ours(settings: dict[str, Any], venv: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Learner, reward network, and the other settings of GAIL."""
    algo = settings["algo"]
    trpo, value, discriminator = algo["trpo"], algo["value"], algo["discriminator"]
    learner = TRPO(
        "MlpPolicy",
        venv,
        learning_rate=value["learning_rate"],
        n_steps=algo["steps_per_iteration"] // algo["num_envs"],
        batch_size=value["minibatch_size"],
        gamma=algo["gamma"],
        gae_lambda=algo["gae_lambda"],
        cg_max_steps=trpo["cg_iterations"],
        cg_damping=trpo["cg_damping"],
        line_search_max_iter=trpo["max_backtracks"],
        line_search_shrinking_factor=trpo["backtrack_ratio"],
        target_kl=trpo["max_kl"],
        n_critic_updates=value["epochs"],
        policy_kwargs={
            "net_arch": {"pi": algo["policy"]["hidden_sizes"], "vf": value["hidden_sizes"]},
            "activation_fn": nn.Tanh,
            "log_std_init": algo["policy"]["log_std_init"],
        },
        seed=settings["seed"],
        device="cpu",
    )
    reward_net = BasicRewardNet(
        venv.observation_space,
        venv.action_space,
        hid_sizes=tuple(discriminator["hidden_sizes"]),
        activation=nn.Tanh,
        normalize_input_layer=RunningNorm,  # as in the library's own examples
    )
    sizes = {
        "demo_batch_size": discriminator["batch_size"],
        "n_disc_updates_per_round": discriminator["updates"],
        "disc_opt_kwargs": {"lr": discriminator["learning_rate"]},
    }
    return learner, reward_net, sizes


def read_demonstrations(path: str) -> Transitions:
    with np.load(path) as arrays:
        return Transitions(
            obs=arrays["observations"],
            acts=arrays["actions"],
            infos=np.array([{}] * len(arrays["actions"])),
            next_obs=arrays["next_observations"],
            dones=arrays["terminated"] | arrays["truncated"],
        )


if __name__ == "__main__":
    main()
