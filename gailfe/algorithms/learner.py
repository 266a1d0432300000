"""The interface between a training and an algorithm, and how the configuration names an algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from torch import nn

from gailfe.config.schema import Config
from gailfe.config.targets import target_class
from gailfe.envs.trajectory import Annotator, Demonstrations, Trajectory
from gailfe.nn.stochastic import StochasticPolicy


class Learner(Protocol):
    """An algorithm that trains one iteration at a time; gailfe/training.py knows nothing else of it.

    An algorithm of stage 3 is a class with a dataclass `Config` for the keys of `algo`, derived from
    `gailfe.config.targets.Target`. `make_learner` shows its arguments. A file of conf/algo/, or of a user, names
    it by import path.
    """

    # Each property may be an attribute. `Sectioned`, `Watched` and `Sampled` are what else an algorithm can offer.

    @property
    def METRICS(self) -> Sequence[str]:
        """The columns of metrics.csv that it adds to those of every training."""
        ...

    @property
    def policy(self) -> StochasticPolicy:
        """What is evaluated and saved."""
        ...

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """All that it trains, by name: the training stops where one of these is no longer finite."""
        ...

    @property
    def steps_per_iteration(self) -> int:
        """Environment steps that an iteration takes; 0 where it learns from data alone."""
        ...

    @property
    def finished(self) -> bool:
        """Return whether more iterations would change nothing: the training then ends before its budget does."""
        ...

    def iterate(self) -> dict[str, float]:
        """Train for one iteration.

        Returns:
            Its metrics, `METRICS` and those of `episode_metrics`; one that does not exist this time is left out.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next iteration depends on: dicts and lists of tensors, arrays, plain values."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> bool:
        """Go on from `state`; returns whether exactly, as if there had been no interruption."""
        ...


@runtime_checkable
class Sectioned(Protocol):
    """A learner that says in which sections W&B shows its metrics; without this they are in one, `algorithm`."""

    SECTIONS: Mapping[str, Sequence[str]]  # names of METRICS by section, such as {"policy": ["kl", "entropy"]}


class Standstill(NamedTuple):
    """A way to learn nothing: how it shows in a row of metrics, and the warning, which names the keys to turn."""

    shows: Callable[[Mapping[str, float]], bool]
    warning: str


@runtime_checkable
class Watched(Protocol):
    """A learner that says what of its metrics tells how it goes, and when it no longer learns."""

    NOTE: Mapping[str, str]  # what the progress lines call these metrics, such as {"lambda_f": "λ_F"}
    STANDSTILLS: Sequence[Standstill]  # of each, a training warns once


@runtime_checkable
class Sampled(Protocol):
    """A learner that shows how quantities are distributed now, which W&B gets as histograms at each evaluation."""

    def samples(self) -> dict[str, np.ndarray]:
        """Return values of each quantity, (n,), by a name like those of METRICS.

        It must change nothing: no state, and no random-number generator.
        """
        ...


def make_learner(config: Config, demonstrations: Demonstrations, annotator: Annotator) -> Learner:
    """Return the configured algorithm of stage 3, before its first iteration."""
    algorithm = target_class("algo", config.algo._target_)
    learner: Learner = algorithm(config.algo, config.env, demonstrations, annotator, config.seed, config.device)
    return learner


def episode_metrics(finished: Sequence[Trajectory]) -> dict[str, float]:
    """Summarise the episodes that ended: their number, return and length, in the environment's own reward."""
    metrics: dict[str, float] = {"episodes": len(finished)}
    if finished:
        returns = np.array([trajectory.total_reward for trajectory in finished])
        metrics["return_mean"] = float(returns.mean())
        metrics["return_std"] = float(returns.std())
        metrics["episode_length_mean"] = float(np.mean([len(trajectory) for trajectory in finished]))
    return metrics


def means(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Average each quantity over the rows that have it."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
