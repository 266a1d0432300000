"""Measurements of `python -m benchmarks.peers` that nobody made."""

from __future__ import annotations

from typing import Any

HERE = {"commit": "abc1234", "processor": "A Processor"}


def point(part: str, peer: str, repeat: int) -> dict[str, Any]:
    length = 100 if part == "gail" else 1_000_000
    return {"part": part, "env": "hopper", "peer": peer, "repeat": repeat, "length": length}


def row(part: str, peer: str, repeat: int, **result: Any) -> dict[str, Any]:
    result = {"name": peer, "env_id": "Hopper-v5", "versions": {"torch": "2"}, "command": "a command"} | result
    return {**point(part, peer, repeat), "load_before": 0.0, **HERE, **result}


def imitated(peer: str, seconds: list[float], reached: list[bool]) -> list[dict[str, Any]]:
    results = zip(seconds, reached, strict=True)
    return [row("imitate", peer, i, seconds=s, reached=r, env_steps=1000 * s) for i, (s, r) in enumerate(results)]
