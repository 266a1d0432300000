"""What a mistyped word was meant to be: the nearest of the valid ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

from omegaconf import DictConfig, OmegaConf

SIMILAR = 0.6  # of 1: the least that is offered
AS_GOOD = 0.15  # what comes that close to the best is offered too
SHORTEST = 3  # letters of a word's beginning that say which one is meant
ELSEWHERE = 0.8  # what a key counts that has another path: `window` for `algo.failures.window`


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return `; did you mean …?` with at most three of the valid words, best first; empty if none is near."""
    near = nearest(word, valid)
    *others, last = near or [""]
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?" if near else ""


def nearest(word: str, valid: Iterable[str], most: int = 3) -> list[str]:
    """Return the valid words, or dotted keys, that are most like `word`, best first."""
    scores = {other: _similarity(word, other) for other in valid}
    best = sorted((other for other in scores if scores[other] >= SIMILAR), key=lambda other: -scores[other])
    return [other for other in best[:most] if scores[other] >= scores[best[0]] - AS_GOOD]


def keys_of(config: Any, prefix: str = "") -> Iterator[str]:
    """Yield the dotted names of all keys of a composed configuration, of those that hold others too."""
    if isinstance(config, DictConfig):
        for name in map(str, config):
            yield f"{prefix}{name}"
            if not OmegaConf.is_missing(config, name) and not OmegaConf.is_interpolation(config, name):
                yield from keys_of(config[name], f"{prefix}{name}.")


def _similarity(word: str, other: str) -> float:
    (path, _, name), (other_path, _, other_name) = word.rpartition("."), other.rpartition(".")
    similarity = SequenceMatcher(None, name.lower(), other_name.lower()).ratio()
    shorter, longer = sorted((name.lower(), other_name.lower()), key=len)
    if len(shorter) >= SHORTEST and longer.startswith(shorter):
        similarity = max(similarity, 0.8)
    return similarity if path == other_path else similarity * ELSEWHERE
