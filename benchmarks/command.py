"""What all commands of this folder share: `key=value` arguments with the check of each, and exit statuses."""

from __future__ import annotations

import shlex
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any, TypeVar

from gailfe.config.arguments import ArgumentError, CommandError, parse_arguments, run_command
from gailfe.config.keys import Valid

Schema = TypeVar("Schema")

FROM_ONE = Valid(lambda number: number >= 1, "a whole number from 1")
POSITIVE = Valid(lambda number: number > 0, "greater than 0")
YES_OR_NO = Valid(lambda _: True, "true or false")
FOLDER = Valid(lambda path: path != "", "a folder, made where it does not exist")


class MeasurementError(CommandError):
    """A measurement that could not be made; the message says why."""


def each_of(*names: str) -> Valid:
    """Accept a list of some of these words."""
    return Valid(lambda chosen: chosen and set(chosen) <= set(names), f"one or more of {', '.join(names)}")


def argument(default: Any, help: str, valid: Valid) -> Any:
    """Declare a field of a command's schema: a key, its default, what it is for, and what may stand there."""
    metadata = {"help": help, "valid": valid.words, "check": valid.check}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def parse(schema: type[Schema], arguments: Sequence[str]) -> Schema:
    """Return an instance of `schema`, a dataclass of arguments; `key=a,b` is a list as well as `key=[a,b]`.

    Raises:
        ArgumentError: naming the argument that the command cannot take, and what is valid.
    """
    return _checked(parse_arguments(schema, _bracketed(schema, arguments)))


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

    def checked_work(chosen: Schema) -> int:
        failures = work(_checked(chosen), shlex.join(["python", "-m", module, *arguments]))
        for failure in failures:
            print(f"failed: {failure}", file=sys.stderr)
        return 1 if failures else 0

    return run_command(schema, summary, examples, checked_work, _bracketed(schema, arguments))


def _bracketed(schema: type, arguments: Sequence[str]) -> list[str]:
    lists = [f"{name}=" for name, kind in typing.get_type_hints(schema).items() if typing.get_origin(kind) is list]
    split = [(argument, *argument.partition("=")) for argument in arguments]
    return [
        f"{key}=[{value}]" if f"{key}{equals}" in lists and not value.startswith("[") else argument
        for argument, key, equals, value in split
    ]


def _checked(chosen: Schema) -> Schema:
    for entry in fields(chosen):  # type: ignore[arg-type]
        value = getattr(chosen, entry.name)
        if value is not None and not entry.metadata["check"](value):
            shown = ",".join(value) if isinstance(value, list) else value
            raise ArgumentError(f"{entry.name}={shown}: valid is {entry.metadata['valid']}")
    return chosen
