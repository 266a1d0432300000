"""Prints docs/configuration.md: `python -m gailfe.config.reference > docs/configuration.md`.

Meaning, type and valid values come from the dataclasses whose fields are `key(...)`, values from the files
of conf/.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Sequence
from dataclasses import Field, fields, is_dataclass
from typing import Any, NamedTuple

import hydra
from omegaconf import MISSING, DictConfig, OmegaConf

from gailfe.config.folders import CONF
from gailfe.config.help import summary
from gailfe.config.schema import Config
from gailfe.config.targets import target_class

TOP = """\
# Configuration reference

Every key of a run, with its meaning, what may stand there, and its value in the files of [conf/](../conf). This
page is printed by `python -m gailfe.config.reference`; a test compares it with the code.

* A key is set on the command line: `python -m gailfe.run env=hopper algo.gamma=0.995`.
* A group is chosen the same way: `algo=gail` reads `conf/algo/gail.yaml`, and `algo.gamma=…` changes a key of it.
* `python -m gailfe.run --cfg job` prints the whole configuration of a command line, without running it; `--help`
  lists groups and their options.
* Files of your own: `--config-dir my_conf`, with the same folders (`my_conf/env/mine.yaml` is `env=mine`).
* Commands that don't train, such as those of `analysis/`, have few keys; their `--help` explains them.

A value like `${env.ppo.gamma}` is taken from another key. An unknown key, or a value that its key cannot have, is
refused before any work starts.
"""

GROUPS = {
    "env": "The environment. `my_conf/env/mine.yaml` adds your own.",
    "algo": "The algorithm of stage 3. The option names a class, and the class its keys.",
    "expert": "Where the expert comes from. The option names a class, and the class its keys.",
    "demonstrations": "What is collected in stage 2, or the dataset that replaces it.",
    "annotator": "Which trajectories are failures. The file of an environment chooses one.",
    "tracking": "Weights & Biases, beside metrics.csv.",
    "experiment": "A study: a file that sets any keys.",
}
WORDS = {int: "integer", float: "number", bool: "true or false", str: "text", Any: "any", type(None): "null"}


class Key(NamedTuple):
    """A key: its dotted name below the group, its type in words, and its field."""

    name: str
    type: str
    field: Field[Any]


def page() -> str:
    """Return the whole page."""
    with hydra.initialize_config_module("conf", version_base="1.3"):
        parts = [TOP, "## Every run\n", _table(list(_keys(Config)), "", [hydra.compose("config")])]
        for group, about in GROUPS.items():
            options = sorted(path.stem for path in (CONF / group).glob("[!_]*.yaml"))
            parts += [f"## {group}\n", f"{about}\n", _options(group, options)]
            if group != "experiment":
                composed = {option: hydra.compose("config", [f"{group}={option}"]) for option in options}
                parts += _group(group, composed)
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def _group(group: str, composed: dict[str, DictConfig]) -> Iterator[str]:
    """The tables of a group: one for each class whose keys some of its options have."""
    by_schema: dict[type, list[str]] = {}
    for option, config in composed.items():
        target = config[group].get("_target_")
        schema = target_class(group, target).Config if target else typing.get_type_hints(Config)[group]
        by_schema.setdefault(schema, []).append(option)
    for schema, options in by_schema.items():
        if len(by_schema) > 1:
            yield f"### {', '.join(f'`{group}={option}`' for option in options)}\n"
        keys, nodes = list(_keys(schema)), [composed[option][group] for option in options]
        yield _table(keys, f"{group}.", nodes)
        rows = [(f"`{group}.{key.name}`", *values) for key in keys if len(set(values := _values(key, nodes))) > 1]
        if group == "env":
            rows.append(("the annotator", *(f"`{composed[option].annotator.name}`" for option in options)))
        rows = [row for row in rows if row[0] != f"`{group}.name`"]
        if rows:
            yield _markdown(("where they differ", *(f"`{group}={option}`" for option in options)), rows)


def _keys(schema: type, prefix: str = "") -> Iterator[Key]:
    """The keys that a dataclass declares, those of its parts after it; groups are left out of `Config`."""
    hints = typing.get_type_hints(schema)
    for entry in fields(schema):
        if schema is Config and entry.name in GROUPS:
            continue
        name, parts = prefix + entry.name, [part for part in _members(hints[entry.name]) if is_dataclass(part)]
        if not parts or type(None) in _members(hints[entry.name]):
            yield Key(name, _words(hints[entry.name]), entry)
        for part in parts:
            yield from _keys(typing.cast(type, part), f"{name}.")


def _members(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)


def _words(hint: Any) -> str:
    if isinstance(hint, types.UnionType):
        return " or ".join(_words(member) for member in _members(hint))
    if typing.get_origin(hint) is list:
        member = typing.get_args(hint)[0]
        return "list" if member is Any else f"list of {_words(member)}s".replace("texts", "text")
    if typing.get_origin(hint) is dict:
        return "mapping"
    return "keys" if is_dataclass(hint) else WORDS[hint]


def _table(keys: list[Key], prefix: str, nodes: list[DictConfig]) -> str:
    """A row for each key; its value where all of `nodes` have the same."""
    rows = []
    for key in keys:
        values = set(_values(key, nodes))
        value = values.pop() if len(values) == 1 else "the option's" if key.name == "name" else "differs"
        rows.append((f"`{prefix}{key.name}`", value, key.field.metadata["help"], _valid(key).replace("<", "\\<")))
    return _markdown(("key", "value", "meaning", "valid"), rows)


def _valid(key: Key) -> str:
    valid = key.field.metadata["valid"]
    if valid is None:
        return key.type
    return (
        valid.words
        if key.type in ("text", "list of integers", "list of numbers")
        else f"{key.type}, {valid.words}"
    )


def _values(key: Key, nodes: list[DictConfig]) -> list[str]:
    """The key's value in each option's node, as conf/ has it: interpolations stay."""
    found = []
    for node in nodes:
        value: Any = OmegaConf.to_container(node, resolve=False)
        for part in key.name.split("."):
            value = value.get(part, MISSING) if isinstance(value, dict) else MISSING  # within what is null
        found.append("–" if value == MISSING else "its keys" if value and "keys" in key.type else _shown(value))
    return found


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        value = ", ".join(name if isinstance(part, dict) else f"{name}: {part}" for name, part in value.items())
    elif isinstance(value, list):
        value = f"[{', '.join(map(str, value))}]"
    elif value is None or isinstance(value, bool):
        value = "null" if value is None else str(value).lower()
    return f"`{value}`" if value != "" else "none"


def _options(group: str, options: list[str]) -> str:
    rows = []
    for option in options:
        path = CONF / group / f"{option}.yaml"
        rows.append((f"[`{group}={option}`](../conf/{group}/{option}.yaml)", summary(path)))
    return _markdown(("option", "what it is"), rows)


def _markdown(heading: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines: list[tuple[str, ...]] = [heading, ("---",) * len(heading), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
