"""Measurements in a .jsonl file, of which only the missing ones are made, and what pages say of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.command import MeasurementError
from gailfe.storage.origin import CODE, last_change, processor

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]  # a measurement: its point, its result, where, when and by which command it was made
Point = dict[str, Any]  # the keys and values that identify a measurement
Bounds = tuple[float, float]  # what is known of a number: it is no less, no more


def read_rows(path: Path) -> list[Row]:
    """Read the measurements in a .jsonl file, if it is there. A line cut off by a crash is skipped."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def append_row(path: Path, row: Row) -> None:
    """Append a measurement as a new line, also after a line that was cut off."""
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write("\n" * cut_off + json.dumps(row) + "\n")


def missing(rows: Iterable[Row], points: Sequence[Point], place: Row) -> list[Point]:
    """Return those of `points`, each once, that were not measured yet at this place."""
    here = [row for row in rows if place.items() <= row.items()]
    unique = [point for index, point in enumerate(points) if point not in points[:index]]
    return [point for point in unique if not any(point.items() <= row.items() for row in here)]


def make_missing(
    path: Path, points: Sequence[Point], place: Row, command: str, measure: Callable[[Point], Row]
) -> list[str]:
    """Make the measurements that `path` lacks, one after the other; each is at once on disk.

    Returns:
        A message for each that failed; the others are made nevertheless.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    to_do, failures = missing(read_rows(path), points, place), []
    print(f"{len(points) - len(to_do)} of {len(points)} measurements are there", flush=True)
    for number, point in enumerate(to_do, start=1):
        name = " ".join(f"{key}={value}" for key, value in point.items())
        print(f"{number} of {len(to_do)}: {name}", flush=True)
        load = os.getloadavg()[0]  # before the measurement; a high load means that the machine had other work
        try:
            result = measure(point)
        except MeasurementError as error:
            failures.append(f"{name}: {error}")
            print(f"  failed: {error}", flush=True)
            continue
        append_row(path, {**point, **result, **place, "load_before": load, "command": command})
    return failures


def as_the_last(rows: Sequence[Row], *keys: str) -> list[Row]:
    """Return the rows that agree with the last one in `keys`; others can't be compared with it."""
    return [row for row in rows if all(row.get(key) == rows[-1].get(key) for key in keys)]


def origin(*measuring: str) -> Row:
    """Return the origin of a measurement: {commit, processor}.

    The commit is the last one that changed the measured code, so that a commit of results or text makes no
    measurement obsolete. It ends in +changes if some of that code isn't committed.

    Args:
        measuring: the files that measure, beside those that are measured.
    """
    return {"commit": last_change(*measuring, *CODE), "processor": processor()}


def machine(place: Row, cores: int = 1) -> str:
    """Processor, versions and commit of an `origin`, in a line."""
    used = "One core of an" if cores == 1 else f"{cores} cores of an"
    return f"{used} {place['processor']}, {listed(place['versions'])}, at {place['commit']}"


def listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def table(head: Sequence[Any], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def spread(values: Iterable[float], style: str) -> str:
    """Format the median (smallest–largest), or the one value, or nothing."""
    return between([(value, value) for value in values], style)


def between(values: Iterable[Bounds], style: str) -> str:
    """`spread` of numbers of which some are only known to lie between two: "> 3" or "< 3" where that matters."""
    known = list(values)
    if not known:
        return ""
    lows, highs = zip(*known, strict=True)

    def one(of: Callable[[Sequence[float]], float]) -> str:
        low, high = of(lows), of(highs)
        sign, shown = ("", low) if low == high else ("> ", low) if low > 0 else ("< ", high)
        return f"{sign}{shown:{style}}".replace("inf", "∞")

    return one(median) if len(known) == 1 else f"{one(median)} ({one(min)}–{one(max)})"
