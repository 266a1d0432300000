"""Which runs share a panel of a figure or a table, and what titles and legends call them.

A label (`analysis.runs.algo_label`) is an algorithm and overrides. Overrides of the algorithm make another line;
all others (`demonstrations.contamination=0.25`, `env.num_iterations=500`) make another panel: all lines of a panel
are of the same task. Overrides that all runs of a figure share are written once, below it; keys are shortened to
their end.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from analysis.runs import parse_label
from gailfe.config.overrides import key_of, short_keys

NAMES = {"halfcheetah": "HalfCheetah"}

# GAIL doesn't learn from what these keys change: like `algo.*`, they belong to an algorithm, and not to the task.
# (An annotator also decides which episodes are no demonstrations. So GAILFE is compared with GAIL's runs of the
# same annotator, where there are some.)
OF_THE_ALGORITHM = re.compile(
    r"(algo|annotator)\b|demonstrations\.(earlier_checkpoints|earlier_episodes|failed_dataset)\b"
)


@dataclass(frozen=True)
class Panel:
    """One task; `lines` maps what a legend calls an algorithm to the label of its runs."""

    env: str
    title: str
    lines: dict[str, str]
    row: int
    column: int


@dataclass(frozen=True)
class Layout:
    """All panels, and what they have in common; every environment that comes in several forms begins a row."""

    panels: list[Panel]
    names: list[str]  # of all lines in the order of their colours
    shared: str  # the overrides that all runs have, empty where there are none

    @property
    def by_factor(self) -> bool:
        """Return whether an environment comes in several forms: panels then are many and small."""
        return len(self.panels) > len({panel.env for panel in self.panels})

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return 1 + max(panel.row for panel in self.panels), 1 + max(panel.column for panel in self.panels)


def conditions(label: str) -> frozenset[str]:
    """Return the overrides in `label` that are not the algorithm's: what runs must share to be compared."""
    return frozenset(item for item in parse_label(label)[1] if not OF_THE_ALGORITHM.match(item))


@dataclass(frozen=True)
class Wording:
    """How overrides are written where these labels are together."""

    overrides: dict[str, frozenset[str]]  # of each label
    shared: frozenset[str]  # what all of them have, which is said once

    @staticmethod
    def of(labels: Iterable[str]) -> "Wording":
        overrides = {label: parse_label(label)[1] for label in labels}
        return Wording(overrides, frozenset.intersection(*overrides.values()) if overrides else frozenset())

    def words(self, items: frozenset[str]) -> str:
        """Say those of `items` that not all share, with short keys."""
        short = short_forms(frozenset[str]().union(*self.overrides.values()))
        return ", ".join(sorted((short[item] for item in items - self.shared), key=natural))

    def label(self, label: str) -> str:
        """`gailfe (algo.failures.window=50, expert=pretrained)` → `gailfe (window=50)`."""
        words, algo = self.words(self.overrides[label]), parse_label(label)[0]
        return f"{algo} ({words})" if words else algo

    @property
    def all_runs(self) -> str:
        """What all share, with whole keys; empty where there is nothing."""
        return ", ".join(sorted(self.shared, key=natural))


def lay_out(runs: Iterable[tuple[str, str]]) -> Layout:
    """Return the panels of these runs, pairs of env and label, of which there is at least one."""
    found = sorted(set(runs))
    wording = Wording.of({label for _, label in found})
    overrides, words = wording.overrides, wording.words
    labels = overrides.keys()

    def name(label: str) -> str:
        settings = words(overrides[label] - conditions(label))
        algo = parse_label(label)[0].upper().replace("_", " ")
        return f"{algo} ({settings})" if settings else algo

    # The paper's two come first, so that their colours are always the same.
    names = sorted({name(label) for label in labels}, key=lambda n: (n != "GAIL", n != "GAILFE", natural(n)))
    forms = sorted({words(conditions(label)) for label in labels}, key=natural)
    panels = []
    for row, env in enumerate(sorted({env for env, _ in found})):
        for column, form in enumerate(forms):
            here = {name(label): label for of, label in found if of == env and words(conditions(label)) == form}
            title = NAMES.get(env, env[:1].upper() + env[1:])
            lines = {line: here[line] for line in names if line in here}
            panels.append(
                Panel(env, f"{title}\n{form}" if form else title, lines, *place(row, column, len(forms)))
            )
    return Layout([panel for panel in panels if panel.lines], names, wording.all_runs)


def place(env: int, form: int, forms: int) -> tuple[int, int]:
    """Row and column of a panel: three environments in a row, or a row or more for each that has several forms."""
    if forms == 1:
        return env // 3, env % 3
    rows = -(-forms // 4)  # four are as many as are readable side by side
    columns = -(-forms // rows)
    return env * rows + form // columns, form % columns


def short_forms(overrides: Iterable[str]) -> dict[str, str]:
    """Shorten the key of each override to the shortest unique ending: `algo.z_f=-1` → `z_f=-1`."""
    keys = {item: key_of(item) for item in overrides}
    short = short_keys(keys.values())
    return {item: short[key] + item.removeprefix(key) for item, key in keys.items()}


def natural(text: str) -> list[tuple[str, float]]:
    """Return a key that sorts numbers inside a text by their size: 4 before 11, 0.25 before 0.5."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(word, float(number)) for word, number in zip(parts[::2], [*parts[1::2], "0"], strict=True)]
