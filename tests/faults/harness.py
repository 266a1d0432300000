"""Starts a sweep, kills it, damages its files, starts it again, until it is done; and compares the end."""

from __future__ import annotations

import random
import re
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGTERM

from gailfe.storage.store import finished

from .comparison import compare
from .damage import Damage, damage_one
from .sweep import Blow, Size, Sweep, wait

KILLS_IN_A_ROUND = 8  # then the sweep may finish, and the next round begins in another folder
FAILED = re.compile(r"^  (/.+?): (.*)$", re.MULTILINE)  # a job's line in the report at a sweep's end


@dataclass
class Record:
    """What happened."""

    kills: Counter[str] = field(default_factory=Counter)  # by signal and target
    stages: Counter[str] = field(default_factory=Counter)  # in which kills came
    damages: list[Damage] = field(default_factory=list)
    refusals: int = 0  # that named a damaged file
    resumed_runs: int = 0
    resumed_experts: int = 0
    rounds: int = 0
    runs: int = 0
    rows: int = 0
    rows_lost: int = 0
    differences: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)  # ends that no kill and no damage explains

    @property
    def passed(self) -> bool:
        return not (self.rows_lost or self.differences or self.left_behind or self.unexplained)


def against(output: str, code: int) -> str:
    """Say what is wrong with how a sweep ended after SIGTERM; empty if nothing is."""
    listening = " at a time, into " in output  # what it says first; a signal before that is Python's own matter
    valid = [128 + SIGTERM] if listening else [128 + SIGTERM, -SIGTERM]
    if code not in valid:
        return f"it ended with {code}"
    return "a traceback" if "Traceback" in output else ""


class Harness:
    """Disturbs sweeps of one size.

    Args:
        work: where everything is written; made if missing.
        size: of the sweep.
        seed: of all that is random; when a kill strikes also depends on the machine.
        say: gets a line about everything that happens.
    """

    def __init__(self, work: Path, size: Size, seed: int, say: Callable[[str], None]) -> None:
        self.work, self.size, self.say = work, size, say
        self.rng = random.Random(seed)
        self.record = Record()
        self._starts = 0
        (work / "logs").mkdir(parents=True, exist_ok=True)

    def run(self, kills: int) -> Record:
        """Make the undisturbed sweep, then disturb others until `kills` kills have struck."""
        self.whole = self.work / "undisturbed"
        sweep = self._start(self.whole)
        if not wait(sweep.ended, 3600) or sweep.process.returncode != 0:
            raise RuntimeError(f"the undisturbed sweep failed:\n{sweep.output[-4000:]}")
        self.say(f"undisturbed: done, {len(list(self.whole.glob('runs/**/metrics.csv')))} runs")
        while self.record.kills.total() < kills:
            self._round(kills)
        return self.record

    def _start(self, folder: Path) -> Sweep:
        self._starts += 1
        return Sweep(folder, self.size, self.work / "logs" / f"{self._starts:03d}.log")

    def _round(self, kills: int) -> None:
        self.record.rounds += 1
        folder = self.work / f"round-{self.record.rounds:02d}"
        left = min(KILLS_IN_A_ROUND, kills - self.record.kills.total())
        damages: list[Damage] = []  # that nothing has been heard of yet
        ends = 0
        sweep = self._start(folder)
        while True:
            blow = Blow.drawn(self.rng, self._stages_to_come(folder)) if left > 0 else None
            struck = sweep.strike(blow, self.rng) if blow is not None else None
            if blow is not None and struck is not None:
                left -= 1
                self._count(blow, struck)
            if not wait(sweep.ended, 900):
                self.record.unexplained.append(f"{sweep.log.name}: does not end")
                sweep.process.kill()
            again = self._after(sweep, folder, damages, blow if struck is not None else None)
            if not again:
                break
            ends += struck is None
            if ends > 10:
                self.record.unexplained.append(f"{folder.name}: fails again and again, given up")
                return
            at_once = self.rng.random() < 0.25  # while processes of the one before may still be there
            if not at_once:
                self._check_left_behind(sweep)
                if self.rng.random() < 0.6 and left > 0:
                    damages += self._damage(folder)
            before, sweep = sweep, self._start(folder)
            if at_once:
                self._check_left_behind(before)
        self._check_left_behind(sweep)
        self._compare(folder)

    def _stages_to_come(self, folder: Path) -> list[str]:
        kinds = ("experts", "demonstrations")
        pending = [kind for kind in kinds if len(finished(folder / "artifacts", kind)) < len(self.size.envs)]
        return [*pending, "runs"]

    def _count(self, blow: Blow, stages: set[str]) -> None:
        self.record.kills[f"{blow.signal.name} {blow.target}"] += 1
        self.record.stages.update(stages or {"start"})
        self.say(f"kill {self.record.kills.total()}: {blow}; under way: {', '.join(sorted(stages)) or 'nothing'}")

    def _damage(self, folder: Path) -> list[Damage]:
        damage = damage_one(folder, self.rng)
        if damage is None:
            return []
        self.say(f"damaged {damage.path.relative_to(self.work)}: {damage.way}")
        self.record.damages.append(damage)
        return [damage]

    def _check_left_behind(self, sweep: Sweep) -> None:
        left = sweep.left_behind()
        if left:
            self.say(f"left behind: {left}")
        self.record.left_behind += left

    def _after(self, sweep: Sweep, folder: Path, damages: list[Damage], blow: Blow | None) -> bool:
        """Read what an ended start said; returns whether the command must be given again."""
        output, code = sweep.output, sweep.process.returncode
        self.record.resumed_runs += len(re.findall(r"/seed=\S*: resumed after iteration", output))
        self.record.resumed_experts += len(re.findall(r": expert: resumed after iteration", output))
        for damage in damages:
            damage.named |= str(damage.path) in output
        self.say(f"{sweep.log.name}: ended with {code}")
        if code == 0:
            return not self._complete(folder, sweep)
        if blow is not None and blow.target != "worker":
            if blow.signal == SIGTERM and (objection := against(output, code)):
                self.record.unexplained.append(f"{sweep.log.name}: after SIGTERM: {objection}: …{output[-300:]}")
            return True
        for job, error in FAILED.findall(output):
            named = [damage for damage in damages if str(damage.path) in error or damage.path.name in error]
            if named:
                moved = self._remedy(named[0], Path(job))
                damages[:] = [damage for damage in damages if moved not in damage.path.parents]
            elif blow is None:
                self.record.unexplained.append(f"{sweep.log.name}: {job}: {error}")
        if not FAILED.search(output) and blow is None:
            self.record.unexplained.append(f"{sweep.log.name}: ended with {code}: …{output[-300:]}")
        return True

    def _complete(self, folder: Path, sweep: Sweep) -> bool:
        missing = [
            path.parent.relative_to(self.whole)
            for path in self.whole.glob("runs/**/summary.json")
            if "wandb" not in path.parts and not (folder / path.relative_to(self.whole)).exists()
        ]
        if missing:
            self.record.unexplained.append(f"{sweep.log.name}: says that it is done, without {missing}")
        return not missing

    def _remedy(self, damage: Damage, run: Path) -> Path:
        """Do as a refusal says: move what it names away. Returns the folder that is gone."""
        self.record.refusals += 1
        folder = next((p for p in damage.path.parents if p.parent.parent.name == "artifacts"), run)
        self.say(f"refused for {damage.path.name}: {folder.name} is moved away")
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def _compare(self, folder: Path) -> None:
        found = compare(self.whole, folder)
        self.record.runs += found.runs
        self.record.rows += found.rows
        self.record.rows_lost += found.rows_lost
        self.record.differences += [f"{folder.name}/{difference}" for difference in found.differences]
        ending = found.differences or "the same"
        self.say(f"{folder.name}: {found.runs} runs, {found.rows} rows compared: {ending}")
