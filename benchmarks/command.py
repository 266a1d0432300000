"""What all commands of this folder share: valid values, the command that a page prints, and exit statuses."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TypeVar

from gailfe.config.arguments import CommandError, run_command
from gailfe.config.keys import Valid

Schema = TypeVar("Schema")

YES_OR_NO = "true or false"
FOLDER = Valid(lambda path: path != "", "a folder, made where it does not exist")


class MeasurementError(CommandError):
    """A measurement that could not be made; the message says why."""


def run(
    module: str,
    schema: type[Schema],
    summary: str,
    examples: str,
    work: Callable[[Schema, str], Sequence[str]],
    arguments: Sequence[str],
) -> int:
    """Do the work of `python -m <module> <arguments>`, or print its help.

    Args:
        work: gets the parsed arguments, and the command as it can be pasted into a shell; returns what failed, a
            message each.

    Returns:
        The exit status: 0, 1 if a measurement failed, 2 for a wrong argument.
    """

    def reported_work(chosen: Schema) -> int:
        failures = work(chosen, shlex.join(["python", "-m", module, *arguments]))
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0

    return run_command(schema, summary, examples, reported_work, arguments)
