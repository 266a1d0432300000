"""Reads what an offline W&B run has written."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algorithms import small_run

from gailfe.config.schema import Config


@dataclass
class Offline:
    """One .wandb file: what `wandb sync` would send."""

    run: Any
    config: dict[str, Any]
    history: dict[int, dict[str, Any]] = field(default_factory=dict)  # by step; what is nested has a dotted key
    summary: dict[str, Any] = field(default_factory=dict)
    artifacts: dict[str, Any] = field(default_factory=dict)  # by name
    step_metrics: dict[str, str] = field(default_factory=dict)
    exit_code: int | None = None


def read_offline(path: Path) -> Offline:
    """Read a .wandb file, once W&B's own process has finished it."""
    deadline = time.monotonic() + 300  # it may still be writing when `finish` returns
    while not any(record.HasField("exit") for record in records(path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    found = list(records(path))
    (run,) = [record.run for record in found if record.HasField("run")]
    offline = Offline(run, {item.key: json.loads(item.value_json) for item in run.config.update})
    for record in found:
        kind = record.WhichOneof("record_type")
        if kind == "history":
            row = {key_of(item): json.loads(item.value_json) for item in record.history.item}
            offline.history[row["_step"]] = row
        elif kind == "summary":
            offline.summary |= {key_of(item): json.loads(item.value_json) for item in record.summary.update}
        elif kind == "artifact":
            offline.artifacts[record.artifact.name] = record.artifact
        elif kind == "exit":
            offline.exit_code = record.exit.exit_code
        elif kind == "metric":
            offline.step_metrics[record.metric.glob_name or record.metric.name] = record.metric.step_metric
    return offline


def key_of(item: Any) -> str:
    return ".".join(item.nested_key) or item.key


def records(path: Path) -> Iterator[Any]:
    """The protobuf records of an offline run: a LevelDB log in blocks of 32 KiB, after 7 bytes of magic."""
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2  # made when it is imported: no type checker sees what is in it
    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if (left := 32768 - position % 32768) < 7:  # no room for another header in this block
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield messages.Record.FromString(parts)
            parts = b""


def tracked(algorithm: str, *overrides: str) -> Config:
    return small_run(algorithm, "tracking=wandb", *overrides)


def offline_runs(folder: Path) -> list[Offline]:
    """What is below `folder`/wandb, oldest first."""
    return [read_offline(path) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]
