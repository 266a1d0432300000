"""GAIL with TRPO by imitation 1.0.1 and sb3-contrib, for `python -m benchmarks.peers`.

TRPO, its critic and the discriminator get the sizes, step counts and batch sizes of our config. What only ours
does (a gradient penalty, normalised observations for the policy, evaluation, tracking) is left out: it would only
slow this side down.
"""

from __future__ import annotations

import tempfile

import numpy as np
import torch
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util.logger import configure
from imitation.util.networks import RunningNorm
from imitation.util.util import make_vec_env
from sb3_contrib import TRPO
from torch import nn

from benchmarks.peer_report import IterationClock, read_settings, report

PACKAGES = ("imitation", "stable-baselines3", "sb3-contrib", "torch", "gymnasium", "mujoco", "numpy")


def main() -> None:
    settings = read_settings()
    algo, seed = settings["algo"], settings["seed"]
    trpo, value, discriminator = algo["trpo"], algo["value"], algo["discriminator"]
    env_id = settings["env_id"].replace("-v5", "-v4")  # all that Gymnasium 0.29 has; the same physics
    torch.set_num_threads(1)
    torch.manual_seed(seed)

    venv = make_vec_env(env_id, rng=np.random.default_rng(seed), n_envs=algo["num_envs"])
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
        seed=seed,
        device="cpu",
    )
    reward_net = BasicRewardNet(
        venv.observation_space,
        venv.action_space,
        hid_sizes=tuple(discriminator["hidden_sizes"]),
        activation=nn.Tanh,
        normalize_input_layer=RunningNorm,  # as in the library's own examples
    )
    clock = IterationClock(settings["warmup"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = GAIL(
            demonstrations=read_demonstrations(settings["demonstrations"]),
            demo_batch_size=discriminator["batch_size"],
            n_disc_updates_per_round=discriminator["updates"],
            disc_opt_kwargs={"lr": discriminator["learning_rate"]},
            gen_train_timesteps=algo["steps_per_iteration"],
            venv=venv,
            gen_algo=learner,
            reward_net=reward_net,
            allow_variable_horizon=True,  # Hopper's episodes end when it falls
            log_dir=folder,
            custom_logger=configure(folder, ["csv"]),
        )
        rounds = settings["warmup"] + settings["iterations"]
        trainer.train(rounds * algo["steps_per_iteration"], callback=lambda _: clock.tick())
    report("imitation", env_id, PACKAGES, clock.result(algo["steps_per_iteration"]))


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
