"""Watches a training: stops it where a number is no longer finite, and warns where nothing is learned any more."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from gailfe.algorithms.learner import Learner
from gailfe.config.keys import Refusal
from gailfe.storage.tracking import Row

log = logging.getLogger(__name__)

PATIENCE = 20  # iterations in a row, until a warning


class Diverged(Refusal, FloatingPointError):
    """A training whose numbers are no longer finite: in which iteration, and which of them."""


class Standstill(NamedTuple):
    """A way to learn nothing, as it shows in a row of metrics."""

    shows: Callable[[Row], bool]
    warning: str


STANDSTILLS = [
    Standstill(
        # What trpo_step tells when no step of its line search was taken.
        lambda row: row.get("kl") == 0 and row.get("surrogate_improvement") == 0,
        "the policy has not moved: every line search failed. Try a smaller algo.trpo.max_kl, a larger "
        "algo.trpo.cg_damping, or more algo.trpo.max_backtracks",
    ),
    Standstill(
        # D can't be more wrong about one pair in a thousand: the reward hardly tells one pair from another.
        lambda row: row.get("d_policy", 0.5) > 0.999 and row.get("d_expert", 0.5) < 0.001,
        "the discriminator is saturated: it tells policy and expert apart without a doubt, which leaves no reward "
        "to learn from. Try a smaller algo.discriminator.learning_rate, fewer algo.discriminator.updates, or a "
        "larger algo.discriminator.gradient_penalty",
    ),
]


class Watch:
    """Looks at each iteration of one training. It warns once of each standstill.

    Args:
        label: of the training, in the log.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._lasted = [0] * len(STANDSTILLS)  # iterations in a row, of each

    def warn_of_standstill(self, row: Row) -> None:
        """Log a warning if `row` is the `PATIENCE`-th in a row of a standstill."""
        for i, standstill in enumerate(STANDSTILLS):
            if self._lasted[i] < PATIENCE:  # not yet warned of
                self._lasted[i] = self._lasted[i] + 1 if standstill.shows(row) else 0
                if self._lasted[i] == PATIENCE:
                    log.warning(
                        "%s: for %d iterations, up to %d, %s",
                        self.label,
                        PATIENCE,
                        row["iteration"],
                        standstill.warning,
                    )


@torch.no_grad()
def check_finite(learner: Learner, row: Row, saved: int) -> None:
    """Refuse NaN and infinity in an iteration's metrics and in the networks.

    Args:
        saved: the iteration of the last checkpoint; 0 if there is none.

    Raises:
        Diverged: naming the iteration and what is not finite.
    """
    spoilt = [name for name, value in row.items() if not math.isfinite(value)]
    spoilt += _spoilt_tensors(learner)
    if spoilt:
        named = ", ".join(spoilt[:5]) + (f" and {len(spoilt) - 5} more" if len(spoilt) > 5 else "")
        raise Diverged(
            f"iteration {row['iteration']}: NaN or infinite: {named}. An environment's numbers are checked when "
            "they come, so this arose in learning, most often from too large a step (a learning rate). "
            + (f"The checkpoint of iteration {saved} is kept" if saved else "There was no checkpoint yet")
        )


def _spoilt_tensors(learner: Learner) -> Iterator[str]:
    """By their sums, which are as finite as what they are of, and the cheapest to ask for."""
    for name, network in learner.networks.items():
        for key, parameter in network.named_parameters(name):
            if not math.isfinite(parameter.sum().item()):
                yield key
        for key, buffer in network.named_buffers(name):
            bound = key.endswith((".low", ".high"))  # of an action space, which may be infinite
            if not bound and not math.isfinite(buffer.sum().item()):
                yield key
