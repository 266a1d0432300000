"""GAIL (equation 1) and GAILFE (equations 2–4) with TRPO or PPO, as the paper's algorithm has them:

    τ_E and the failures of the demonstrations are given; the failures fill β_F.
    for each iteration:
        collect trajectories of π_θ                                          Collector.collect
        add those that the annotator calls failures to β_F                   FailureBuffer.add
        ascend ω on E_π[log D] + E_E[log(1 − D)] + λ_F·(E_βF[log D] − Z_F)   discriminator_step
        move λ_F against the slack of E_βF[log D] > Z_F                      Multiplier.update
        reward r(s, a) = −log D(s, a), and its advantages                    reward, batch_advantages
        one TRPO step on θ, with λ_H·H(π) maximised                          TRPOUpdate, or ClippedUpdate
        fit the value function to the returns                                ValueFunction.fit

Without β_F and λ_F this is GAIL.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gailfe.algorithms.advantages import batch_advantages
from gailfe.algorithms.clipped import ClippedUpdate
from gailfe.algorithms.discriminator import Discriminator, discriminator_step, reward
from gailfe.algorithms.failed_experience import FailedExperience
from gailfe.algorithms.failures import FailedPairs
from gailfe.algorithms.imitation_config import ImitationConfig
from gailfe.algorithms.imitation_metrics import METRICS, NOTE, SECTIONS, STANDSTILLS, evenly_spaced
from gailfe.algorithms.learner import episode_metrics, means
from gailfe.algorithms.pairs import state_action_pairs
from gailfe.algorithms.trpo import TRPOUpdate
from gailfe.config.schema import EnvConfig
from gailfe.envs.rollout import Batch, Collector
from gailfe.envs.trajectory import Annotator, Demonstrations, Trajectory
from gailfe.envs.vector import VectorEnv
from gailfe.nn.value import ValueFunction


class Imitator:
    """Everything that GAIL and GAILFE train, and `iterate`, which trains it; a `Learner`.

    Args:
        config: `config.failures` None is GAIL.
        env: where to collect; its rewards are passed on to annotators and metrics and to nothing else.
        demonstrations: τ_E, and the failed trajectories that β_F begins with.
        annotator: says of a finished trajectory whether it failed.
        seed: of every random number.
        device: where the networks learn; environments, acting and β_F stay on the CPU, and so do all
            random numbers, which are therefore the same on every device.
    """

    Config = ImitationConfig
    METRICS = METRICS
    SECTIONS = SECTIONS
    NOTE = NOTE
    STANDSTILLS = STANDSTILLS
    finished = False

    def __init__(
        self,
        config: ImitationConfig,
        env: EnvConfig,
        demonstrations: Demonstrations,
        annotator: Annotator,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.steps_per_iteration = config.steps_per_iteration
        self.annotator = annotator
        self.generator = torch.Generator().manual_seed(seed)
        self.device = torch.device(device)
        vector = VectorEnv(env, config.num_envs, seed)
        self.collector = Collector(vector)
        policy = config.policy.make(vector.observation_dim, vector.action_space, self.generator)
        self.policy = policy.to(self.device)
        self.policy_update = (
            ClippedUpdate(self.policy, config.ppo, self.generator)
            if config.policy_update == "ppo"
            else TRPOUpdate(self.policy, config.trpo)
        )
        self.value = ValueFunction(vector.observation_dim, config.value, self.generator, self.device)
        self.discriminator = Discriminator(
            vector.observation_dim, policy.action_dim, config.discriminator, self.generator
        ).to(self.device)
        self.networks = {"policy": self.policy, "value": self.value, "discriminator": self.discriminator}
        self.optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=config.discriminator.learning_rate, fused=True
        )
        self.expert_pairs = torch.cat([self._pairs(trajectory) for trajectory in demonstrations.expert])
        self.policy.normalizer.update(self.expert_pairs[:, : vector.observation_dim])
        self.latest: Batch | None = None  # of the last iteration
        self.failed: FailedExperience | None = None  # None: GAIL
        if config.failures is not None:
            failed = [self._pairs(trajectory) for trajectory in demonstrations.failed]
            self.failed = FailedExperience(config.failures, failed, self.expert_pairs.shape[1])

    def iterate(self) -> dict[str, float]:
        """Collect → annotate → discriminator → multiplier → reward → advantages → policy → value function.

        With `config.order` policy_first, the discriminator and the multiplier move last: the policy is trained on
        rewards of D as it was while it acted.

        Returns:
            METRICS and those of the episodes that ended; a quantity that does not exist is absent.
        """
        num_steps = self.steps_per_iteration // self.config.num_envs
        batch = self.collector.collect(self.policy, num_steps, self.generator).to(self.device)
        metrics = episode_metrics(batch.finished)
        metrics |= self._annotate(batch.finished)
        x = self.policy.normalizer(batch.observations)
        pairs = torch.cat([x, self.policy.to_unit(batch.actions)], dim=-1)
        if self.config.order == "discriminator_first":
            metrics |= self._update_discriminator(pairs.flatten(0, 1))
            metrics |= self._update_policy(batch, x, pairs)
        else:
            metrics |= self._update_policy(batch, x, pairs)
            metrics |= self._update_discriminator(pairs.flatten(0, 1))
        self.policy.normalizer.update(batch.observations)
        self.latest = batch
        return metrics

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """Return D, as it is now, of the last iteration's pairs and of some expert and failed pairs.

        The latter are evenly spaced over all that there are, not drawn; none are failed while β_F is empty.
        """
        pairs = {"d_expert": self.expert_pairs[evenly_spaced(len(self.expert_pairs))]}
        if self.latest is not None:
            observations, actions = self.latest.observations.float(), self.policy.to_unit(self.latest.actions)
            pairs["d_policy"] = torch.cat([observations, actions], dim=-1).flatten(0, 1)
        if self.failed is not None:
            buffer = self.failed.buffer
            pairs["d_failed"] = buffer.pairs(evenly_spaced(buffer.num_pairs)).to(self.device)
        return {
            name: torch.sigmoid(self.discriminator(self._normalize(of))).cpu().numpy()
            for name, of in pairs.items()
            if len(of)
        }

    def _annotate(self, finished: Sequence[Trajectory]) -> dict[str, float]:
        failed = [trajectory for trajectory in finished if self.annotator(trajectory)]
        metrics: dict[str, float] = {"failed_episodes": len(failed)}
        return metrics | (self.failed.add(map(self._pairs, failed)) if self.failed else {})

    def _update_discriminator(self, policy_pairs: Tensor) -> dict[str, float]:
        """Take a few minibatch steps on ω, then one on λ_F; the metrics are means over the steps.

        Args:
            policy_pairs: of this iteration, normalised, (n, obs_dim + action_dim).
        """
        config = self.config.discriminator
        size = config.batch_size or len(policy_pairs)
        steps = []
        for _ in range(config.updates):
            failed = self._draw_failed(size)
            steps.append(
                discriminator_step(
                    self.discriminator,
                    self.optimizer,
                    policy_pairs if config.batch_size is None else self._draw(policy_pairs, size),
                    self._normalize(self._draw(self.expert_pairs, size)),
                    failed,
                    self.failed.multiplier if self.failed else None,
                    config,
                    self.generator,
                )
            )
        info = means(steps)
        return info | (self.failed.move_multiplier(info) if self.failed else {})

    def _update_policy(self, batch: Batch, x: Tensor, pairs: Tensor) -> dict[str, float]:
        """Reward → advantages → policy → value function.

        Args:
            batch: of this iteration.
            x: its observations, normalised, (num_steps, num_envs, obs_dim).
            pairs: `x` and unit actions, (num_steps, num_envs, obs_dim + action_dim).
        """
        config = self.config
        with torch.no_grad():
            rewards = reward(self.discriminator(pairs), config.reward)
            advantages, values = batch_advantages(
                batch, x, rewards, self.value, self.policy.normalizer, config.gamma, config.gae_lambda
            )
        returns = (advantages + values).flatten()
        x, samples = x.flatten(0, 1), batch.samples.flatten(0, 1)
        info = self.policy_update(x, samples, advantages.flatten(), config.lambda_h)
        info["value_loss"] = self.value.fit(x, returns)
        info["reward_mean"] = rewards.mean().item()
        return info

    def _pairs(self, trajectory: Trajectory) -> Tensor:
        """Return a trajectory's raw observations and unit actions side by side, (T, obs_dim + action_dim)."""
        return torch.cat(state_action_pairs(trajectory, self.policy), dim=-1)

    def _normalize(self, pairs: Tensor) -> Tensor:
        dim = self.policy.normalizer.mean.shape[0]
        return torch.cat([self.policy.normalizer(pairs[:, :dim]), pairs[:, dim:]], dim=-1)

    def _draw(self, pairs: Tensor, size: int) -> Tensor:
        return pairs[torch.randint(len(pairs), (size,), generator=self.generator).to(self.device)]

    def _draw_failed(self, size: int) -> FailedPairs | None:
        """Draw a normalised batch from β_F; None for GAIL, and while β_F is empty."""
        drawn = self.failed.draw(size, self.generator) if self.failed else None
        if drawn is None:
            return None
        return FailedPairs(self._normalize(drawn.pairs.to(self.device)), drawn.own)

    def state_dict(self) -> dict[str, Any]:
        """Return everything that the next iteration depends on."""
        return {
            "generator": self.generator.get_state(),
            "collector": self.collector.state_dict(),
            "policy": self.policy.state_dict(),
            "policy_update": self.policy_update.state_dict(),
            "value": self.value.full_state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "failed": self.failed.state_dict() if self.failed else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on from `state`; returns whether exactly so (see `Collector.load_state_dict`)."""
        self.generator.set_state(state["generator"])
        self.policy.load_state_dict(state["policy"])
        self.policy_update.load_state_dict(state["policy_update"])
        self.value.load_full_state_dict(state["value"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.failed is not None:
            self.failed.load_state_dict(state["failed"])
        return self.collector.load_state_dict(state["collector"])
