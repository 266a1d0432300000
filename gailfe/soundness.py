"""Watches a training: stops it where a number is no longer finite, and warns where nothing is learned any more."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import torch

from gailfe.algorithms.learner import Learner, Standstill
from gailfe.config.keys import Refusal
from gailfe.storage.tracking import Row

log = logging.getLogger(__name__)

PATIENCE = 20  # iterations in a row, until a warning


class Diverged(Refusal, FloatingPointError):
    """A training whose numbers are no longer finite: in which iteration, and which of them."""


class Watch:
    """Looks at each iteration of one training. It warns once of each standstill.

    Args:
        label: of the training, in the log.
        standstills: of its algorithm.
    """

    def __init__(self, label: str, standstills: Sequence[Standstill]) -> None:
        self.label, self.standstills = label, standstills
        self._lasted = [0] * len(standstills)  # iterations in a row, of each

    def warn_of_standstill(self, row: Row) -> None:
        """Log a warning if `row` is the `PATIENCE`-th in a row of a standstill."""
        for i, standstill in enumerate(self.standstills):
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
    """Yield the names of those that hold NaN or infinity; a sum shows it, and is the cheapest to ask for."""
    for name, network in learner.networks.items():
        for key, parameter in network.named_parameters(name):
            if not math.isfinite(parameter.sum().item()):
                yield key
        for key, buffer in network.named_buffers(name):
            bound = key.endswith((".low", ".high"))  # of an action space, which may be infinite
            if not bound and not math.isfinite(buffer.sum().item()):
                yield key
