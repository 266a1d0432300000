"""An algorithm as a user would write it: the policy's mean action moves to that of the demonstrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium.spaces import Box

from gailfe.algorithms.learner import episode_metrics
from gailfe.config.keys import AT_LEAST_ONE, PROBABILITY, key
from gailfe.config.schema import EnvConfig
from gailfe.config.targets import Target
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.envs.vector import VectorEnv
from gailfe.nn.gaussian import GaussianPolicy


@dataclass
class MeanMatcherConfig(Target):
    num_envs: int = key("environments side by side", AT_LEAST_ONE)
    steps_per_iteration: int = key("environment steps in an iteration", AT_LEAST_ONE)
    step_size: float = key("share of the distance that an iteration goes", PROBABILITY)


class MeanMatcher:
    Config = MeanMatcherConfig
    METRICS = ("distance",)
    finished = False

    def __init__(
        self,
        config: MeanMatcherConfig,
        env: EnvConfig,
        demonstrations: Demonstrations,
        annotator: Annotator,
        seed: int,
        device: str,
    ) -> None:
        self.config = config
        self.steps_per_iteration = config.steps_per_iteration
        self.generator = torch.Generator().manual_seed(seed)
        vector = VectorEnv(env, config.num_envs, seed)
        self.collector = Collector(vector)
        assert isinstance(vector.action_space, Box)
        self.policy = GaussianPolicy(vector.observation_dim, vector.action_space, [4], -1.0, self.generator)
        self.networks = {"policy": self.policy}
        actions = torch.cat([torch.as_tensor(trajectory.actions) for trajectory in demonstrations.expert])
        self.target = self.policy.to_unit(actions).mean(0)

    @torch.no_grad()
    def iterate(self) -> dict[str, float]:
        num_steps = self.config.steps_per_iteration // self.config.num_envs
        batch = self.collector.collect(self.policy, num_steps, self.generator)
        self.policy.normalizer.update(batch.observations)
        missing = self.target - batch.samples.mean((0, 1))
        self.policy.mean.biases[-1].add_(missing, alpha=self.config.step_size)
        return {"distance": missing.norm().item(), **episode_metrics(batch.finished)}

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "collector": self.collector.state_dict(),
            "policy": self.policy.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        self.generator.set_state(state["generator"])
        self.policy.load_state_dict(state["policy"])
        return self.collector.load_state_dict(state["collector"])
