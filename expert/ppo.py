"""Proximal policy optimisation (Schulman et al. 2017) with a clipped surrogate, for the experts."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gailfe.advantages import generalized_advantages
from gailfe.config import PPOConfig
from gailfe.networks import GaussianPolicy, RunningMeanStd, entropy, log_prob, mlp
from gailfe.rollout import Batch


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


@dataclass
class PPO:
    """Everything that PPO moves, and the update that moves it."""

    config: PPOConfig
    policy: GaussianPolicy
    value: nn.Sequential
    reward_scale: RewardScale
    optimizer: torch.optim.Adam
    generator: torch.Generator

    @classmethod
    def create(cls, config: PPOConfig, observation_dim: int, action_space: Any) -> PPO:
        generator = torch.Generator().manual_seed(config.seed)
        policy = GaussianPolicy(
            observation_dim,
            action_space,
            config.hidden_sizes,
            config.log_std_init,
            generator,
            config.activation,
        )
        value = mlp([observation_dim, *config.hidden_sizes, 1], generator, config.activation)
        parameters = [*policy.parameters(), *value.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=config.learning_rate, eps=1e-5, fused=True)
        scale = RewardScale(config.num_envs, config.gamma)
        return cls(config, policy, value, scale, optimizer, generator)

    def update(self, batch: Batch, progress: float) -> dict[str, float]:
        """One PPO iteration on `batch`.

        Args:
            batch: collected with `self.policy` as it is.
            progress: the share of training that is behind us, in [0, 1]; the learning rate anneals with it.

        Returns:
            Averages over the minibatches: kl [nats], clip_fraction, value_loss, entropy [nats].
        """
        config = self.config
        if config.anneal:
            self.optimizer.param_groups[0]["lr"] = config.learning_rate * (1.0 - progress)
        with torch.no_grad():
            x = self.policy.normalizer(batch.observations)
            rewards = self.reward_scale(batch.rewards, batch.terminated | batch.truncated)
            values = self.value(x).squeeze(-1)
            next_values = self.value(self.policy.normalizer(batch.next_observations)).squeeze(-1)
            advantages = generalized_advantages(
                rewards,
                values,
                next_values,
                batch.terminated,
                batch.truncated,
                config.gamma,
                config.gae_lambda,
            )
            mean, log_std = self.policy(x)
            old_log_prob = log_prob(mean, log_std, batch.samples)
            returns = advantages + values
        data = [t.flatten(0, 1) for t in (x, batch.samples, old_log_prob, advantages, returns)]
        info = self._epochs(data)
        self.policy.normalizer.update(batch.observations)
        return info

    def _epochs(self, data: list[Tensor]) -> dict[str, float]:
        config, rows = self.config, len(data[0])
        parameters = self.optimizer.param_groups[0]["params"]
        sums = torch.zeros(3)
        steps = 0
        for _ in range(config.epochs):
            order = torch.randperm(rows, generator=self.generator)
            epoch_kl, first_step = torch.zeros(()), steps
            for index in order.split(config.minibatch_size):
                x, samples, old_log_prob, advantages, returns = (t[index] for t in data)
                advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
                mean, log_std = self.policy(x)
                log_ratio = log_prob(mean, log_std, samples) - old_log_prob
                ratio = log_ratio.exp()
                clipped = ratio.clamp(1 - config.clip, 1 + config.clip)
                policy_loss = -torch.min(ratio * advantages, clipped * advantages).mean()
                value_loss = 0.5 * (self.value(x).squeeze(-1) - returns).square().mean()
                bonus = config.entropy_coefficient * entropy(self.policy.log_std)
                self.optimizer.zero_grad()
                (policy_loss + value_loss - bonus).backward()
                nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
                self.optimizer.step()
                with torch.no_grad():
                    kl = ((ratio - 1) - log_ratio).mean()  # Schulman's low-variance estimator
                    epoch_kl += kl
                    sums += torch.stack([kl, (ratio != clipped).float().mean(), value_loss])
                steps += 1
            if config.target_kl is not None and epoch_kl / (steps - first_step) > config.target_kl:
                break
        kl_mean, clip_fraction, value_mean = (sums / steps).tolist()
        return {
            "kl": kl_mean,
            "clip_fraction": clip_fraction,
            "value_loss": value_mean,
            "entropy": entropy(self.policy.log_std).item(),
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "policy": self.policy.state_dict(),
            "value": self.value.state_dict(),
            "reward_scale": self.reward_scale.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.policy.load_state_dict(state["policy"])
        self.value.load_state_dict(state["value"])
        self.reward_scale.load_state_dict(state["reward_scale"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.generator.set_state(state["generator"])
