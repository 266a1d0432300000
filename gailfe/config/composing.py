"""Errors of a command line that Hydra can't compose: one line, and not Hydra's own report of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from gailfe.config.folders import CONF
from gailfe.config.mistakes import explain, swept_as_well

FULL_ERROR = "HYDRA_FULL_ERROR"  # environment variable; with 1, Hydra lets errors through, and we show tracebacks

_ours = False  # whether it was set here, and not by the user


def full_error() -> bool:
    """Return whether the user wants tracebacks of all errors."""
    return os.environ.get(FULL_ERROR) == "1" and not _ours


def compose_and_run(start: Callable[[], None]) -> None:
    """Call Hydra's main function. Where it can't compose the configuration, that ends in a line.

    Hydra composes a sweep's own configuration with the default option of each group that the sweep varies. A key
    that this option lacks becomes one of the sweep's arguments, which are composed for each job.

    Raises:
        SystemExit: with that line.
    """
    global _ours
    if not full_error():
        os.environ[FULL_ERROR], _ours = "1", True  # else Hydra reports the error by itself, and ends the process
    try:
        start()
    except (HydraException, OmegaConfBaseException) as error:
        given = get_args_parser().parse_args()
        own = [f"hydra.searchpath=[file://{Path(given.config_dir).absolute()}]"] if given.config_dir else []
        overrides = [*own, *given.overrides]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            swept = swept_as_well(error, overrides, given.multirun)
            line = "" if swept else explain(error, overrides)
        if not swept:
            if full_error():
                raise
            raise SystemExit(f"error: {line}") from None
        sys.argv[1:] = [swept.get(argument, argument) for argument in sys.argv[1:]]
        compose_and_run(start)  # each time with one fixed key less
    finally:
        composition_done()


def composition_done() -> None:
    """From now on Hydra reports errors as it always does; harmless to repeat."""
    global _ours
    if _ours:
        del os.environ[FULL_ERROR]
    _ours = False


def config_dir() -> Path | None:
    """Return the folder that this command line's `--config-dir` names. Raises SystemExit if there is none."""
    given = get_args_parser().parse_args(sys.argv[1:]).config_dir
    if given is not None and not Path(given).is_dir():
        raise SystemExit(f"error: --config-dir {given}: there is no such folder")
    return None if given is None else Path(given)
