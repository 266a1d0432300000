"""Short films of a policy while it learns."""

from __future__ import annotations

import logging
from pathlib import Path

from expert.video import encoder
from expert.watch import film
from gailfe.config.schema import EnvConfig
from gailfe.envs.evaluation import FRESH_SEED, Evaluator, episode_seeds
from gailfe.nn.acting import CanAct

log = logging.getLogger(__name__)


class PolicyFilm:
    """Films an episode of a policy's mean action in environments of its own; always from the same initial state.

    Args:
        config: of the environment.
    """

    def __init__(self, config: EnvConfig) -> None:
        self._config = config

    def __call__(self, policy: CanAct, title: str, path: Path) -> bool:
        """Write a video to `path`; returns whether that was possible. If it wasn't, the log says why."""
        try:
            encoder()  # before the work
            evaluation = Evaluator(self._config, 1, FRESH_SEED)(policy)
            film(self._config, [(title, evaluation.trajectories[0])], episode_seeds(FRESH_SEED, 0, 1), 1, path)
        except Exception as error:  # OpenGL's are of many kinds, and none of them may end a training
            log.info("W&B gets no videos of the policy: %s (tracking.videos=false asks for none)", error)
            return False
        return True
