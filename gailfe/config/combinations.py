"""The jobs of a sweep: all combinations of its arguments, without what has no meaning in some of them.

`-m algo=gail,gailfe algo.failures.window=null,50` is three jobs: GAIL has no failures.window. It is left out
there, and what remains is the same job twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

from gailfe.config.mistakes import composed, is_group

Job = tuple[str, ...]  # its overrides


def expand(arguments: Sequence[str]) -> list[Job]:
    """Return all combinations of a sweep's arguments, as Hydra's own sweeper makes them."""
    parsed = OverridesParser.create().parse_overrides(list(arguments))
    (jobs,) = BasicSweeper.split_arguments(parsed, None)
    return [tuple(job) for job in jobs]


def meaningful(jobs: Sequence[Sequence[str]]) -> tuple[list[Job], list[str]]:
    """Leave out of each job the keys that its options lack and those of another job have; then each job once.

    Hydra must be initialised. A key that no job's options have stays: the check of the jobs refuses it.

    Returns:
        The jobs; and a line for each key and option that lacks it.
    """
    names = {_name(item) for job in jobs for item in job}
    groups = {name for name in names if is_group(name.lstrip("+~"))}
    # With + a key may be new, with ~ it is to be deleted, and hydra.* is no part of an option.
    keys = {name for name in names - groups if name[:1] not in "+~" and not name.startswith("hydra.")}

    @cache
    def options(chosen: Job) -> DictConfig | None:
        return composed(chosen)

    @cache
    def lacking(chosen: Job) -> set[str]:
        config = options(chosen)
        return set() if config is None else {key for key in keys if not _has(config, key)}

    choices = [tuple(item for item in job if _name(item) in groups) for job in jobs]
    nowhere = set.intersection(*(lacking(chosen) for chosen in choices)) if choices else set()
    kept, notes = [], []
    for job, chosen in zip(jobs, choices, strict=True):
        left_out = {_name(item) for item in job} & (lacking(chosen) - nowhere)
        kept.append(tuple(item for item in job if _name(item) not in left_out))
        for key in sorted(left_out):
            group, config = key.partition(".")[0], options(chosen)
            option = None if config is None else OmegaConf.select(config, f"{group}.name")
            notes.append(f"{group}={option} has no {key}: it is left out there")
    return list(dict.fromkeys(kept)), list(dict.fromkeys(notes))


def _name(item: str) -> str:
    return item.partition("=")[0]


def _has(config: DictConfig, key: str) -> bool:
    """Return whether a composed configuration has a key, with or without a value."""
    path, _, name = key.rpartition(".")
    node = OmegaConf.select(config, path) if path else config
    return isinstance(node, ListConfig) or (isinstance(node, DictConfig) and name in list(node))
