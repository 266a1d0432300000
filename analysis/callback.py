"""Draws Figure 1 and writes the report by itself when a sweep ends.

In a Hydra config:

    hydra:
      callbacks:
        figure1:
          _target_: analysis.callback.DrawAfterSweep
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from gailfe.config.arguments import CommandError
from gailfe.config.keys import Refusal

log = logging.getLogger(__name__)


class DrawAfterSweep(Callback):
    """Draws Figure 1 into the sweep's folder, and writes report.html beside it.

    Args:
        metric, formats, title: as the keys of `python -m analysis.figure1`.
    """

    def __init__(
        self,
        metric: str = "eval_return_mean",
        formats: Sequence[str] = ("png", "pdf"),
        title: str | None = None,
    ) -> None:
        self.metric, self.formats, self.title = metric, list(formats), title

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Draw the runs in the sweep's folder and log what was written; warn if there is nothing to draw.

        A fault of the drawing is a warning, with its traceback where it was not foreseen: the runs are well.
        """
        # Every job of a sweep imports this module: pandas and matplotlib wait for a figure to draw.
        from analysis.figure1 import draw_figure1
        from analysis.report import write_report

        if config.hydra.job.name != "run":
            return  # a sweep of stage 1 or 2 alone has no learning curves
        folder = Path(config.hydra.sweep.dir)
        try:
            figure = draw_figure1([folder], folder, self.metric, self.formats, self.title)
        except Exception as error:
            log.warning(
                "Figure 1 is not drawn: %s. When runs have finished: python -m analysis.figure1 runs=%s",
                error,
                folder,
                exc_info=_unforeseen(error),
            )
            return
        log.info("Figure 1:\n%s", figure.report())
        try:
            log.info("Report: %s", write_report([folder], folder, self.title).path)
        except Exception as error:
            log.warning(
                "The report is not written: %s. To write it: python -m analysis.report runs=%s",
                error,
                folder,
                exc_info=_unforeseen(error),
            )


def _unforeseen(error: Exception) -> Exception | None:
    return None if isinstance(error, Refusal | CommandError) else error
