"""Overrides of the command line, `algo.gamma=0.9`, as text."""

from __future__ import annotations

from collections.abc import Iterable


def key_of(override: str) -> str:
    """Return what an override sets: `+env.kwargs.x=1` → `env.kwargs.x`."""
    return override.lstrip("+~").partition("=")[0]


def short_keys(keys: Iterable[str]) -> dict[str, str]:
    """Shorten each key to its shortest ending that no other has: `algo.failures.z_f` → `z_f`."""
    parts = {key: key.split(".") for key in keys}

    def shortened(key: str) -> str:
        for length in range(1, len(parts[key])):
            end = parts[key][-length:]
            if sum(other[-length:] == end for other in parts.values()) == 1:
                return ".".join(end)
        return key

    return {key: shortened(key) for key in parts}
