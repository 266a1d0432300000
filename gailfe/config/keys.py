"""How a key of conf/ is declared: its type, what it is for and what may stand there, in one place.

    @dataclass
    class TRPOConfig:
        max_kl: float = key("bound on the KL divergence of a policy step [nats]", POSITIVE)

The values are in conf/; a default stands here only where a file of conf/ may leave a key out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from omegaconf import MISSING


class Refusal(Exception):
    """An error whose message says all that its reader needs: a command ends with it, without a traceback."""


class ConfigError(Refusal, ValueError):
    """A configuration that can't be run: which key, which value, and what is valid."""


@dataclass(frozen=True)
class Valid:
    """The check of a value, and the words for valid values."""

    check: Callable[[Any], bool]
    words: str


AT_LEAST_ONE = Valid(lambda value: value >= 1, "at least 1")
IN_MEMORY = Valid(lambda value: 1 <= value <= 2**24, "at least 1, and at most 2**24")  # all of them at once
ENVIRONMENTS = Valid(lambda value: 1 <= value <= 10_000, "at least 1, and at most 10000: an environment each")
NOT_NEGATIVE = Valid(lambda value: 0 <= value < math.inf, "at least 0, and finite")
POSITIVE = Valid(lambda value: 0 < value < math.inf, "greater than 0, and finite")
FINITE = Valid(lambda value: math.isfinite(value), "finite")
SEED = Valid(lambda value: 0 <= value < 2**63, "at least 0 and below 2**63")
LOG_STD = Valid(lambda value: -20 <= value <= 2, "between -20 and 2")
INSIDE_UNIT = Valid(lambda value: 0 < value < 1, "between 0 and 1, both excluded")
PROBABILITY = Valid(lambda value: 0 <= value <= 1, "between 0 and 1")
SIZES = Valid(
    lambda value: len(value) >= 1 and min(value) >= 1 and max(value) <= 2**16,
    "a list of layer sizes, each at least 1 and at most 2**16",
)
FOLDER_NAME = Valid(
    lambda value: (
        re.fullmatch(r"[\w.-]+", value) is not None and value.strip(".") != "" and len(value.encode()) <= 100
    ),
    "the name of a folder: letters, digits, '_', '-' and '.' only, at most 100 bytes",
)


def one_of(*names: str) -> Valid:
    """Accept only these words."""
    return Valid(lambda value: value in names, "one of " + ", ".join(names))


def key(help: str, valid: Valid | None = None, default: Any = MISSING) -> Any:
    """Declare a field of a configuration dataclass.

    Args:
        help: what the key is for, with its unit.
        valid: None: every value of its type. A value of null is left to the type.
        default: where conf/ may leave it out.
    """
    metadata = {"help": help, "valid": valid}
    if isinstance(default, list | dict):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def check_multiple(config: Any, prefix: str, whole: str, part: str) -> None:
    """Refuse a `config.<whole>` that is no multiple of `config.<part>`; raises ConfigError.

    Args:
        prefix: of both keys' names, "algo." for example.
    """
    if getattr(config, whole) % getattr(config, part):
        raise ConfigError(
            f"{prefix}{part}={getattr(config, part)} must divide {prefix}{whole}={getattr(config, whole)}"
        )


def check_keys(config: Any, prefix: str = "") -> None:
    """Refuse the first value, in `config` or below it, that its key does not allow.

    Args:
        config: a dataclass whose fields are keys.
        prefix: of the keys' names, "algo." for example.

    Raises:
        ConfigError: naming the key, the value and what is valid.
    """
    for name, value, valid in _leaves(config, prefix):
        if valid is not None and value is not None and not valid.check(value):
            raise ConfigError(f"{name}={value} must be {valid.words}")


def _leaves(config: Any, prefix: str) -> Iterator[tuple[str, Any, Valid | None]]:
    for entry in fields(config):
        value = getattr(config, entry.name)
        if is_dataclass(entry.default_factory) and not is_dataclass(value):  # as an interpolation can put there
            names = ", ".join(f.name for f in fields(entry.default_factory))
            raise ConfigError(f"{prefix}{entry.name}={value} must hold keys: {names}")
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{entry.name}.")
        else:
            yield prefix + entry.name, value, entry.metadata.get("valid")
