"""Command lines of `key=value` arguments, as Hydra's, for commands that must start quickly.

A dataclass is the schema: a field is a key, its default the default, and `field(metadata=…)` holds `help`
(one line), `valid` (what may stand there) and, where the values can be listed, `choices`.
"""

import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

Schema = TypeVar("Schema")


class ArgumentError(ValueError):
    """An argument that the command cannot take; the message names the key, the value and what is valid."""


class CommandError(ValueError):
    """A command that can't do its work, though its arguments are right; the message says why."""


def run_command(
    schema: type[Schema],
    summary: str,
    examples: str,
    work: Callable[[Schema], int | None],
    arguments: Sequence[str] | None = None,
) -> int:
    """Parse the arguments, or answer `--help`, and do the work.

    Args:
        schema: a dataclass, see the top of this file.
        summary: the beginning of what `--help` prints.
        examples: its end.
        work: returns the exit status, or None for 0.
        arguments: None: those of this process.

    Returns:
        The exit status: that of `work`, 1 for a CommandError, 2 for an ArgumentError. Either error is printed.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if {"-h", "--help"} & set(given):
        print(help_text(summary, schema, examples))
        return 0
    try:
        return work(parse_arguments(schema, given)) or 0
    except (ArgumentError, CommandError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1


def parse_arguments(schema: type[Schema], arguments: Sequence[str]) -> Schema:
    """Return an instance of the dataclass `schema` with the `key=value` arguments put in.

    Text is taken as it stands, so a title may hold a colon; `null` is none; lists are `[a,b]`.

    Raises:
        ArgumentError: not key=value, an unknown key, or a value that its key cannot have.
    """
    keys = {field.name: field for field in fields(schema)}  # type: ignore[arg-type]
    types = typing.get_type_hints(schema)
    config: DictConfig = OmegaConf.structured(schema)
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or key not in keys:
            problem = f"unknown key {key!r} in {argument!r}" if equals else f"{argument!r} is not key=value"
            raise ArgumentError(f"{problem}; valid keys: {', '.join(keys)} (--help explains them)")
        try:
            is_text = types[key] in (str, str | None) and value != "null"
            entry = {key: value} if is_text else OmegaConf.from_dotlist([argument])
            config = typing.cast(DictConfig, OmegaConf.merge(config, entry))
            check_choices(config[key], keys[key])
        except (OmegaConfBaseException, YAMLError, ValueError):
            raise ArgumentError(f"{argument}: valid is {keys[key].metadata['valid']}") from None
    return typing.cast(Schema, OmegaConf.to_object(config))


def check_choices(value: Any, field: Field[Any]) -> None:
    """Raises ValueError where a list is empty or holds something that its key does not offer."""
    choices = field.metadata.get("choices")
    if choices and (not value or not set(value) <= set(choices)):
        raise ValueError(value)


def help_text(summary: str, schema: type, examples: str) -> str:
    """Return what `--help` prints: the summary, a paragraph for each key with its default, and examples."""
    defaults = OmegaConf.structured(schema)
    paragraphs = []
    for field in fields(schema):
        default = defaults[field.name]
        shown = f"[{','.join(default)}]" if OmegaConf.is_list(default) else default
        paragraphs.append(
            f"  {field.name}={'null' if shown is None else shown}\n"
            f"      {field.metadata['help']}\n      valid: {field.metadata['valid']}"
        )
    return "\n".join([summary, "", "Arguments (key=value) and their defaults:", *paragraphs, "", examples])
