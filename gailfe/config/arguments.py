"""Command lines of `key=value` arguments, as Hydra's, for commands that must start quickly.

A dataclass is the schema: a field is a key, declared by `argument`.
"""

import sys
import typing
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gailfe.config.keys import Refusal, Valid
from gailfe.config.nearest import did_you_mean

Schema = TypeVar("Schema")


class ArgumentError(ValueError):
    """An argument that the command cannot take; the message names the key, the value and what is valid."""


class CommandError(ValueError):
    """A command that can't do its work, though its arguments are right; the message says why."""


def argument(default: Any, help: str, valid: Valid | str) -> Any:
    """Declare a key of a command.

    Args:
        default: its default.
        help: what it is for.
        valid: what may stand there; text is only shown by `--help`, and then every value of the type is valid.
    """
    words, check = (valid, None) if isinstance(valid, str) else (valid.words, valid.check)
    metadata = {"help": help, "valid": words, "check": check}
    if isinstance(default, list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def each_of(*names: str) -> Valid:
    """Accept a list of some of these words."""
    return Valid(lambda chosen: chosen and set(chosen) <= set(names), f"one or more of {', '.join(names)}")


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
        The exit status: that of `work`, 1 for a CommandError or a Refusal, 2 for an ArgumentError. The error is
        printed.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    if {"-h", "--help"} & set(given):
        print(help_text(summary, schema, examples))
        return 0
    try:
        return work(parse_arguments(schema, given)) or 0
    except (ArgumentError, CommandError, Refusal) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1


def parse_arguments(schema: type[Schema], arguments: Sequence[str]) -> Schema:
    """Return an instance of the dataclass `schema` with the `key=value` arguments put in.

    Text is taken as it stands, so a title may hold a colon; `null` is none; lists are `a,b` or `[a,b]`.

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
            near = did_you_mean(key, keys) if equals else ""
            raise ArgumentError(f"{problem}; valid keys: {', '.join(keys)} (--help explains them){near}")
        refusal = ArgumentError(f"{argument}: valid is {keys[key].metadata['valid']}")
        if typing.get_origin(types[key]) is list and not value.startswith("["):
            value = f"[{value}]"
        try:
            is_text = types[key] in (str, str | None) and value != "null"
            entry = {key: value} if is_text else OmegaConf.from_dotlist([f"{key}={value}"])
            config = typing.cast(DictConfig, OmegaConf.merge(config, entry))
        except (OmegaConfBaseException, YAMLError, ValueError):
            raise refusal from None
        check = keys[key].metadata["check"]
        if check is not None and config[key] is not None and not check(config[key]):
            raise refusal
    return typing.cast(Schema, OmegaConf.to_object(config))


def help_text(summary: str, schema: type, examples: str) -> str:
    """Return what `--help` prints: the summary, a paragraph for each key with its default, and examples."""
    defaults = OmegaConf.structured(schema)
    paragraphs = []
    for entry in fields(schema):
        default = defaults[entry.name]
        shown = f"[{','.join(default)}]" if OmegaConf.is_list(default) else default
        paragraphs.append(
            f"  {entry.name}={'null' if shown is None else shown}\n"
            f"      {entry.metadata['help']}\n      valid: {entry.metadata['valid']}"
        )
    return "\n".join([summary, "", "Arguments (key=value) and their defaults:", *paragraphs, "", examples])
