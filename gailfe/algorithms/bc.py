"""Behaviour cloning: the policy that gives the demonstrated actions the highest likelihood (Pomerleau 1991).

It minimises E_E[−log π_θ(a|s)] over the policies that GAIL trains too. A Gaussian's log-std doesn't depend on the
state: so the mean minimises the squared error of each action in units of its standard deviation, which is learned
as well. Of discrete actions this is the cross-entropy. Some trajectories are held out. The policy with the
smallest loss on them is evaluated and saved, and training stops when that loss has not fallen for some time.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gailfe.algorithms.pairs import state_action_pairs
from gailfe.config.keys import AT_LEAST_ONE, FINITE, IN_MEMORY, INSIDE_UNIT, POSITIVE, ConfigError, key
from gailfe.config.schema import EnvConfig
from gailfe.config.targets import Target
from gailfe.envs.making import spaces_of
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.nn.policy import PolicyConfig

log = logging.getLogger(__name__)


@dataclass
class BehaviourCloningConfig(Target):
    """Keys of `algo` for behaviour cloning."""

    learning_rate: float = key("step size of the optimiser, Adam", POSITIVE)
    minibatch_size: int = key("state-action pairs in a gradient step", IN_MEMORY)
    held_out: float = key("share of the trajectories that is not learned from", INSIDE_UNIT)
    patience: int = key("iterations without a smaller held-out loss after which it stops", AT_LEAST_ONE)
    log_std_min: float = key(
        "lower bound of the log-std: a continuous action that never varies has no likelihood", FINITE
    )
    policy: PolicyConfig = key("the policy π_θ")

    def check(self) -> None:
        """Raise ConfigError where the log-std would begin below its lower bound."""
        if self.policy.log_std_init < self.log_std_min:
            raise ConfigError(
                f"algo.policy.log_std_init={self.policy.log_std_init} must be at least "
                f"algo.log_std_min={self.log_std_min}"
            )


class BehaviourCloning:
    """A policy that learns from the demonstrations alone, and the best one so far; a `Learner`.

    Args:
        config: how it learns.
        env: whose spaces the policy has; it is never stepped.
        demonstrations: τ_E; failed trajectories are not used.
        annotator: not used.
        seed: of every random number.
        device: where the networks learn.

    Raises:
        ConfigError: if the demonstrations hold a single pair, so that none can be held out.
    """

    Config = BehaviourCloningConfig
    SECTIONS: ClassVar = {"policy": ("entropy",)}
    NOTE: ClassVar = {"held_out_loss": "held-out loss"}
    STANDSTILLS = ()
    steps_per_iteration = 0  # of the environment

    def __init__(
        self,
        config: BehaviourCloningConfig,
        env: EnvConfig,
        demonstrations: Demonstrations,
        annotator: Annotator,
        seed: int,
        device: str = "cpu",
    ) -> None:
        self.config = config
        self.generator = torch.Generator().manual_seed(seed)
        self.device = torch.device(device)
        spaces = spaces_of(env)
        self.current = config.policy.make(spaces.observation_dim, spaces.action, self.generator).to(self.device)
        learned, held_out = self._split(
            [state_action_pairs(trajectory, self.current) for trajectory in demonstrations.expert]
        )
        self.current.normalizer.update(learned[0])
        self.learned, self.held_out = self._normalized(learned), self._normalized(held_out)
        self.policy = copy.deepcopy(self.current)  # the best one on the held-out pairs
        self.networks = {"policy": self.policy, "current": self.current}
        self.optimizer = torch.optim.Adam(self.current.parameters(), lr=config.learning_rate, fused=True)
        self.best_loss = float("inf")
        self.iteration = self.best_iteration = 0

    @property
    def METRICS(self) -> tuple[str, ...]:
        return ("loss", "held_out_loss", "best_held_out_loss", f"held_out_{self.current.error_name}", "entropy")

    @property
    def finished(self) -> bool:
        """Return whether the held-out loss has not fallen for `patience` iterations."""
        return self.iteration - self.best_iteration >= self.config.patience

    def iterate(self) -> dict[str, float]:
        """Make one pass over the pairs in minibatches, then compute the loss on those held out.

        Returns:
            loss: mean negative log-likelihood [nats] over the minibatches, each before its step; held_out_loss:
            the same of the held-out pairs, after the pass; best_held_out_loss: the smallest one so far;
            held_out_squared_error: of the mean action, in squared half-widths of the action space, summed over
            its dimensions; of discrete actions held_out_wrong_actions, the share of pairs whose likeliest action
            is another one; entropy [nats] of the policy.
        """
        order = torch.randperm(len(self.learned[0]), generator=self.generator).to(self.device)
        total = 0.0
        for rows in order.split(self.config.minibatch_size):
            loss = self._loss(self.learned[0][rows], self.learned[1][rows])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            self.current.bound_log_std(self.config.log_std_min)
            total += loss.item() * len(rows)
        with torch.no_grad():
            held_out = self._loss(*self.held_out).item()
            error = self.current.error(*self.held_out).item()
        self.iteration += 1
        if held_out < self.best_loss:
            self.best_loss, self.best_iteration = held_out, self.iteration
            self.policy.load_state_dict(self.current.state_dict())
        return {
            "loss": total / len(order),
            "held_out_loss": held_out,
            "best_held_out_loss": self.best_loss,
            f"held_out_{self.current.error_name}": error,
            "entropy": self.current.entropy(self.held_out[0]).item(),
        }

    def _loss(self, x: Tensor, actions: Tensor) -> Tensor:
        """−log π_θ(a|s), averaged over normalised observations (n, obs_dim) and unit actions (n, action_dim)."""
        return -self.current(x).log_prob(actions).mean()

    def _split(
        self, trajectories: Sequence[tuple[Tensor, Tensor]]
    ) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Split into pairs to learn from and pairs to hold out, of different trajectories if there are several."""
        if len(trajectories) == 1:
            (observations, actions), *_ = trajectories
            log.info("bc: there is a single trajectory, so pairs of it are held out")
            trajectories = list(zip(observations.split(1), actions.split(1), strict=True))
        if len(trajectories) == 1:
            raise ConfigError("algo=bc needs at least two state-action pairs, one of them to hold out, got 1")
        count = min(max(1, round(self.config.held_out * len(trajectories))), len(trajectories) - 1)
        order = torch.randperm(len(trajectories), generator=self.generator).tolist()
        held_out, learned = ([trajectories[i] for i in part] for part in (order[:count], order[count:]))
        return _joined(learned), _joined(held_out)

    def _normalized(self, pairs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return self.current.normalizer(pairs[0]), pairs[1]

    def state_dict(self) -> dict[str, Any]:
        return {
            "generator": self.generator.get_state(),
            "current": self.current.state_dict(),
            "policy": self.policy.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "best_loss": self.best_loss,
            "best_iteration": self.best_iteration,
            "iteration": self.iteration,
        }

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on from `state`, always exactly: nothing but the networks moves."""
        self.generator.set_state(state["generator"])
        self.current.load_state_dict(state["current"])
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.best_loss, self.best_iteration = state["best_loss"], state["best_iteration"]
        self.iteration = state["iteration"]
        return True


def _joined(trajectories: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    observations, actions = zip(*trajectories, strict=True)
    return torch.cat(observations), torch.cat(actions)
