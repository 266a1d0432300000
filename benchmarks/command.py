"""What all commands of this folder share: `key=value` arguments and their checks, --help, exit statuses."""

from __future__ import annotations

import shlex
import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any, TypeVar

from gailfe.config.arguments import ArgumentError, help_text, parse_arguments
from gailfe.config.keys import Valid

Schema = TypeVar("Schema")

FROM_ONE = Valid(lambda number: number >= 1, "a whole number from 1")
POSITIVE = Valid(lambda number: number > 0, "greater than 0")
FOLDER = Valid(lambda path: path != "", "a folder, made where it does not exist")


class MeasurementError(RuntimeError):
    """A measurement that could not be made; the message says why."""


def each_of(*names: str) -> Valid:
    """A list of some of these words."""
    return Valid(lambda chosen: chosen and set(chosen) <= set(names), f"one or more of {', '.join(names)}")


def argument(default: Any, help: str, valid: Valid) -> Any:
    """A field of a command's schema: a key, its default, what it is for, and what may stand there."""
    metadata = {"help": help, "valid": valid.words, "check": valid.check}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def parse(schema: type[Schema], arguments: Sequence[str]) -> Schema:
    """An instance of `schema`, a dataclass of arguments; `key=a,b` is a list as well as `key=[a,b]`.

    Raises:
        ArgumentError: naming the argument that the command cannot take, and what is valid.
    """
    types = typing.get_type_hints(schema)
    lists = [name for name, kind in types.items() if typing.get_origin(kind) is list]
    chosen = parse_arguments(schema, [_bracketed(argument, lists) for argument in arguments])
    for entry in fields(schema):  # type: ignore[arg-type]
        value = getattr(chosen, entry.name)
        if value is not None and not entry.metadata["check"](value):
            shown = ",".join(value) if isinstance(value, list) else value
            raise ArgumentError(f"{entry.name}={shown}: valid is {entry.metadata['valid']}")
    return chosen


def _bracketed(argument: str, lists: Sequence[str]) -> str:
    key, _, value = argument.partition("=")
    return f"{key}=[{value}]" if key in lists and not value.startswith("[") else argument


def run_command(
    module: str,
    schema: type[Schema],
    summary: str,
    examples: str,
    work: Callable[[Schema, str], Sequence[str]],
    arguments: Sequence[str],
) -> int:
    """Parse `arguments` and do the work.

    Args:
        work: gets the parsed arguments and the command as it can be pasted into a shell; returns what failed,
            a message each.

    Returns:
        The exit status: 0, 1 if a measurement failed, 2 for a wrong argument.
    """
    if {"-h", "--help"} & set(arguments):
        print(help_text(summary, schema, examples))
        return 0
    try:
        chosen = parse(schema, arguments)
        failures = work(chosen, shlex.join(["python", "-m", module, *arguments]))
    except (ArgumentError, MeasurementError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1
    for failure in failures:
        print(f"failed: {failure}", file=sys.stderr)
    return 1 if failures else 0
