"""Proximal policy optimisation (Schulman et al. 2017) with a clipped surrogate, for the experts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gailfe.algorithms.advantages import batch_advantages
from gailfe.algorithms.clipped import TO_STANDARDISE, policy_gradient, run_epochs, shortened
from gailfe.algorithms.learner import episode_metrics
from gailfe.config.keys import (
    AT_LEAST_ONE,
    ENVIRONMENTS,
    LOG_STD,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    SEED,
    SIZES,
    key,
    one_of,
)
from gailfe.config.schema import EnvConfig
from gailfe.envs.rollout import Batch, Collector
from gailfe.envs.vector import VectorEnv
from gailfe.nn.mlp import MLP, concatenated, flatten_parameters
from gailfe.nn.normalisation import RunningMeanStd
from gailfe.nn.policy import make_policy


@dataclass
class PPOConfig:
    """The keys of PPO."""

    seed: int = key("of the networks, the environments and the actions", SEED)
    num_envs: int = key("environments that are stepped side by side", ENVIRONMENTS)
    steps_per_iteration: int = key("environment steps in an iteration, a multiple of num_envs", TO_STANDARDISE)
    total_steps: int = key("environment steps of the training", AT_LEAST_ONE)
    gamma: float = key("γ, the discount", PROBABILITY)
    gae_lambda: float = key("λ of generalised advantage estimation", PROBABILITY)
    hidden_sizes: list[int] = key("units of each hidden layer, of policy and value network", SIZES)
    activation: str = key("of the hidden layers", one_of("tanh", "relu"))
    log_std_init: float = key(
        "log of the policy's standard deviation at the start; discrete actions have none", LOG_STD
    )
    learning_rate: float = key("step size of the optimiser, Adam", POSITIVE)
    anneal: bool = key("whether the learning rate falls linearly to 0")
    epochs: int = key("passes over the steps of an iteration", AT_LEAST_ONE)
    minibatch_size: int = key("steps in a minibatch", TO_STANDARDISE)
    clip: float = key("ε, how far the probability ratio may leave 1", POSITIVE)
    entropy_coefficient: float = key("weight of the policy's entropy in the objective", NOT_NEGATIVE)
    max_grad_norm: float = key("longest gradient; a longer one is shortened to it", POSITIVE)
    target_kl: float | None = key("KL divergence [nats] that ends an iteration's epochs; null: none", POSITIVE)


class RewardScale:
    """Divides rewards by the standard deviation of their discounted return, so that values stay near one.

    The return of each environment accumulates over its episode, as in the reward normalisation that most
    PPO implementations share; the mean is left alone, which would change the task.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        self.gamma = gamma
        self.running = torch.zeros(num_envs)
        self.statistics = RunningMeanStd(1)

    def __call__(self, rewards: Tensor, done: Tensor) -> Tensor:
        """Rewards and ends of episodes, (num_steps, num_envs) each → scaled rewards."""
        discounted = torch.empty_like(rewards)
        for t in range(len(rewards)):
            self.running = self.running * self.gamma + rewards[t]
            discounted[t] = self.running
            self.running = self.running * ~done[t]
        self.statistics.update(discounted.reshape(-1, 1))
        return rewards / torch.sqrt(self.statistics.variance + 1e-8).float()

    def state_dict(self) -> dict[str, Any]:
        return {"running": self.running, "statistics": self.statistics.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.running = state["running"]
        self.statistics.load_state_dict(state["statistics"])


class PPO:
    """Everything that PPO trains, and `iterate`, which trains it; a `Learner` that sees the environment's rewards.

    Args:
        config: with the seed of every random number.
        env: where to collect.
    """

    METRICS = ("kl", "clip_fraction", "value_loss", "entropy")
    finished = False

    def __init__(self, config: PPOConfig, env: EnvConfig) -> None:
        self.config = config
        self.steps_per_iteration = config.steps_per_iteration
        self.num_iterations = max(1, config.total_steps // config.steps_per_iteration)
        self.iteration = 0  # the last one that is done
        self.generator = torch.Generator().manual_seed(config.seed)
        vector = VectorEnv(env, config.num_envs, config.seed)
        self.collector = Collector(vector)
        self.policy = make_policy(
            vector.observation_dim,
            vector.action_space,
            config.hidden_sizes,
            config.log_std_init,
            self.generator,
            config.activation,
        )
        self.value = MLP([vector.observation_dim, *config.hidden_sizes, 1], self.generator, config.activation)
        self.networks = {"policy": self.policy, "value": self.value}
        # Of both networks, which hold views of it.
        self.weights = flatten_parameters([*self.policy.trained(), *self.value.parameters()])
        self.optimizer = torch.optim.Adam([self.weights], lr=config.learning_rate, eps=1e-5, fused=True)
        self.reward_scale = RewardScale(config.num_envs, config.gamma)

    def iterate(self) -> dict[str, float]:
        """Collect, then `update`."""
        num_steps = self.steps_per_iteration // self.config.num_envs
        batch = self.collector.collect(self.policy, num_steps, self.generator)
        metrics = self.update(batch, progress=self.iteration / self.num_iterations)
        self.iteration += 1
        return metrics | episode_metrics(batch.finished)

    @torch.no_grad()
    def update(self, batch: Batch, progress: float) -> dict[str, float]:
        """Learn from `batch`, one PPO iteration.

        Args:
            batch: collected with `self.policy` as it is.
            progress: the share of training that is behind us, in [0, 1]; the learning rate anneals with it.

        Returns:
            Averages over the minibatches: kl [nats], clip_fraction, value_loss, and entropy [nats] at the end.
        """
        config = self.config
        if config.anneal:
            self.optimizer.param_groups[0]["lr"] = config.learning_rate * (1.0 - progress)
        x = self.policy.normalizer(batch.observations)
        advantages, values = batch_advantages(
            batch,
            x,
            self.reward_scale(batch.rewards, batch.ended),
            lambda x: self.value(x).squeeze(-1),
            self.policy.normalizer,
            config.gamma,
            config.gae_lambda,
        )
        old_log_prob = self.policy(x).log_prob(batch.samples)
        data = [t.flatten(0, 1) for t in (x, batch.samples, old_log_prob, advantages, advantages + values)]
        kl, clip_fraction, value_loss = run_epochs(
            self._step, data, config.epochs, config.minibatch_size, config.target_kl, self.generator
        ).tolist()
        self.policy.normalizer.update(batch.observations)
        return {
            "kl": kl,
            "clip_fraction": clip_fraction,
            "value_loss": value_loss,
            "entropy": self.policy.entropy(x).item(),
        }

    def _step(
        self, x: Tensor, samples: Tensor, old_log_prob: Tensor, advantages: Tensor, returns: Tensor
    ) -> Tensor:
        """Take one gradient step on a minibatch; return kl, clip_fraction and value_loss from before it."""
        config = self.config
        gradient, kl, clip_fraction = policy_gradient(
            self.policy, x, samples, old_log_prob, advantages, config.clip, config.entropy_coefficient
        )
        activations = self.value.activations(x)
        error = activations[-1] - returns.unsqueeze(-1)
        # Of the loss: the policy's, plus half the squared error of the values.
        gradient += self.value.vjp(activations, error / len(error))
        self.weights.grad = shortened(concatenated(gradient), config.max_grad_norm)
        self.optimizer.step()
        return torch.stack([kl, clip_fraction, 0.5 * error.square().mean()])

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.policy.state_dict(),
            "value": self.value.state_dict(),
            "reward_scale": self.reward_scale.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "collector": self.collector.state_dict(),
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on from `state`; returns whether exactly (see `Collector.load_state_dict`)."""
        self.policy.load_state_dict(state["policy"])
        self.value.load_state_dict(state["value"])
        self.reward_scale.load_state_dict(state["reward_scale"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.generator.set_state(state["generator"])
        self.iteration = state["iteration"]
        return self.collector.load_state_dict(state["collector"])
