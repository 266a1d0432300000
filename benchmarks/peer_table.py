"""The measurements of `python -m benchmarks.peers` in their file, and the Markdown table made from them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.machine import table
from gailfe.storage.files import write_text

Row = dict[str, Any]

NOTES = {
    "gail": """\
Environment steps a second while imitating the same expert trajectories, one thread each, with the sizes of
`conf/algo/gail.yaml` (8 environments, 1024 steps an iteration, networks of 2×100 tanh units, 3 discriminator
steps of 1024 + 1024 pairs). Start-up and the first iterations are left out. Median (range) over rounds; how many
times as fast ours is, is a ratio within a round.

* gailfe is measured with all that a default run does: evaluation, checkpoints, W&B offline. "learning alone"
  leaves those out: the peers neither evaluate nor save, and log to a file at most.
* imitation 1.0.1 is bound to Gymnasium 0.29, so it runs the v4 tasks: the same physics and observations. It has
  no gradient penalty.
* TorchRL has no TRPO: its policy learns as in its own GAIL example, by PPO with 10 epochs of minibatches of 64,
  which is more arithmetic than TRPO's. Its ratio compares whole iterations, not the same algorithm.""",
    "ppo": """\
Seconds of collecting and learning, one thread each, until the first evaluation of the mean action with at least
the given return (Hopper 2500, HalfCheetah 4000). Both sides evaluate 10 episodes at the same intervals of
environment steps; evaluations aren't timed. Median (range) over seeds; ∞: not reached within the cap of steps,
nor, for another codebase, within the command's max_seconds.
"ours is so many times as fast" is a ratio within a seed.

* gailfe: `python -m expert.train`, its defaults.
* Stable-Baselines3: RL Baselines3 Zoo's tuned hyperparameters (normalised observations and rewards, 1 environment,
  networks of 2×256). They were tuned for the final return, not for time.""",
}


@dataclass(frozen=True)
class Measurement:
    """What is measured once.

    Attributes:
        part: gail or ppo.
        peer: gailfe, or a codebase with a script benchmarks/peer_<peer>.py.
        repeat: the round of part=gail, the seed of part=ppo.
        length: timed iterations of part=gail, the cap of environment steps of part=ppo.
    """

    part: str
    env: str
    peer: str
    repeat: int
    length: int

    def __str__(self) -> str:
        return f"{self.part} {self.env} {self.peer} {'round' if self.part == 'gail' else 'seed'} {self.repeat}"


def read_rows(path: Path) -> list[Row]:
    """The measurements in a .jsonl file; none if it isn't there. A line cut off by a crash is passed over."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def append_row(path: Path, row: Row) -> None:
    """Append a measurement as a line of its own, also after one that was cut off."""
    cut_off = path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size > 0
    with path.open("a") as file:
        file.write("\n" * cut_off + json.dumps(row) + "\n")


def measurement_of(row: Row) -> Measurement:
    return Measurement(**{field.name: row[field.name] for field in fields(Measurement)})


def measured(rows: Iterable[Row], origin: Row) -> set[Measurement]:
    """What was measured already at this `origin`, {commit, processor}."""
    return {measurement_of(row) for row in rows if origin.items() <= row.items()}


def write_table(path: Path, rows: Sequence[Row]) -> None:
    """Write the tables anew: of each part what was measured where its latest measurement was."""
    sections = ["# Speed beside other codebases"]
    for part, make in (("gail", gail_table), ("ppo", ppo_table)):
        of_part = [row for row in rows if row["part"] == part]
        if of_part:
            latest = {key: of_part[-1][key] for key in ("commit", "processor")}
            current = [row for row in of_part if latest.items() <= row.items()]
            sections += [f"## part={part}", make(current), NOTES[part], provenance(current)]
    write_text(path, "\n\n".join(sections) + "\n")


def provenance(rows: Sequence[Row]) -> str:
    """Commands, commit, processor and versions behind some rows."""
    commands = dict.fromkeys(row["command"] for row in rows)
    versions = {row["name"]: row["versions"] for row in rows}
    lines = [
        f"* Commands: {', '.join(f'`{command}`' for command in commands)}",
        f"* Commit {rows[-1]['commit']}; {rows[-1]['processor']}; load before a measurement "
        f"{spread([row['load_before'] for row in rows], '.1f')}",
        *(
            f"* {name}: {', '.join(f'{package} {version}' for package, version in packages.items())}"
            for name, packages in versions.items()
        ),
    ]
    return "\n".join(lines)


def gail_table(rows: Sequence[Row]) -> str:
    lines = []
    for group in _groups(rows):
        whole = _by_repeat(group, "gailfe", lambda row: row["steps_per_s"])
        alone = _by_repeat(group, "gailfe", lambda row: row["learning_steps_per_s"])
        for peer, name, env_id in dict.fromkeys((row["peer"], row["name"], row["env_id"]) for row in group):
            rates = _by_repeat(group, peer, lambda row: row["steps_per_s"])
            ratios = [
                spread([] if peer == "gailfe" else [ours[r] / rates[r] for r in rates if r in ours], ".2f")
                for ours in (whole, alone)
            ]
            shown = [spread(rates.values(), ",.0f"), *ratios, str(group[0]["length"]), str(len(rates))]
            lines.append([env_id, name, *shown])
            if peer == "gailfe":
                lines.append([env_id, f"{name}, learning alone", spread(alone.values(), ",.0f"), "", "", "", ""])
    faster = "ours is so many times as fast"
    titles = ["task", "codebase", "steps/s", faster, "learning alone", "iterations", "rounds"]
    return table(titles, lines).rstrip()


def ppo_table(rows: Sequence[Row]) -> str:
    lines = []
    for group in _groups(rows):
        ours = _by_repeat(group, "gailfe", _seconds)
        for peer, name, env_id in dict.fromkeys((row["peer"], row["name"], row["env_id"]) for row in group):
            seconds = _by_repeat(group, peer, _seconds)
            steps = _by_repeat(group, peer, lambda row: row["env_steps"] if row["reached"] else math.inf)
            ratios = [] if peer == "gailfe" else [_ratio(seconds[r], ours[r]) for r in seconds if r in ours]
            reached = sum(map(math.isfinite, seconds.values()))
            known = [ratio for ratio in ratios if not math.isnan(ratio)]
            shown = [spread(seconds.values(), ",.0f"), spread(known, ".2f"), spread(steps.values(), ",.0f")]
            lines.append([env_id, name, f"{reached} of {len(seconds)}", *shown, f"{group[0]['length']:,}"])
    titles = [
        "task",
        "codebase",
        "seeds that reached it",
        "seconds",
        "ours is so many times as fast",
        "env steps",
        "cap",
    ]
    return table(titles, lines).rstrip()


def _seconds(row: Row) -> float:
    return float(row["seconds"]) if row["reached"] else math.inf


def _ratio(theirs: float, ours: float) -> float:
    """∞ where only we reached the return, 0 where only they did, nan where nobody did."""
    return theirs / ours if math.isfinite(theirs) or math.isfinite(ours) else math.nan


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that may be compared: of the same environment and length, in the order of the file."""
    keys = dict.fromkeys((row["env"], row["length"]) for row in rows)
    return [[row for row in rows if (row["env"], row["length"]) == key] for key in keys]


def _by_repeat(rows: Iterable[Row], peer: str, value: Callable[[Row], float]) -> dict[int, float]:
    return {row["repeat"]: value(row) for row in rows if row["peer"] == peer}


def spread(values: Iterable[float], style: str) -> str:
    """Median (smallest–largest), or the one value, or nothing."""
    known = sorted(values)
    shown = (
        [f"{value:{style}}".replace("inf", "∞") for value in (median(known), known[0], known[-1])] if known else []
    )
    return "" if not shown else shown[0] if len(known) == 1 else f"{shown[0]} ({shown[1]}–{shown[2]})"
