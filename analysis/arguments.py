"""The arguments that the commands of this folder share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gailfe.config.arguments import CommandError, argument, each_of
from gailfe.config.keys import Valid
from gailfe.config.writable import check_folder


@dataclass
class CurvesArguments:
    """Which learning curves a command reads."""

    runs: list[str] = argument(
        ["runs/figure1"],
        "where the learning curves are; several places are drawn and compared together",
        Valid(
            bool,
            "one or more, each a folder with run folders below it, a results folder with curves.parquet, or a "
            "results file (.parquet, .csv)",
        ),
    )
    seeds: list[int] = argument([], "the runs that count, by their seed; []: all of them", "a list of seeds")

    @property
    def sources(self) -> list[Path]:
        """Return the places of the learning curves."""
        return [Path(source) for source in self.runs]


@dataclass
class OutArguments(CurvesArguments):
    """Which curves a command reads, and where it writes what it makes of them."""

    out: str | None = argument(
        None,
        "where to write; null: into runs itself, or beside it where it is a file",
        "a folder, made where it does not exist, or null, if runs is one place",
    )

    @property
    def out_folder(self) -> Path:
        """Return the folder to write to.

        Raises:
            CommandError: `out` is not given, and `runs` are several places.
            ConfigError: `out` can't be written.
        """
        if self.out is not None:
            check_folder("out", self.out)
            return Path(self.out)
        if len(self.runs) > 1:
            raise CommandError(f"runs={self.runs} are {len(self.runs)} places: out=<folder> says where to write")
        return folder_of(self.sources[0])


@dataclass
class FigureArguments(OutArguments):
    """Which curves a command draws, where to, and as what."""

    formats: list[str] = argument(["png", "pdf"], "the files to write", each_of("png", "pdf", "svg"))


def folder_of(source: Path) -> Path:
    """Return the folder of learning curves: `source` itself, or the folder that it is in where it is a file."""
    return source.parent if source.is_file() else source


def seeds_suffix(seeds: Sequence[int]) -> str:
    """Return what the name of a figure of these seeds alone ends with; nothing where all seeds count."""
    return f"_seeds_{'-'.join(map(str, seeds))}" if seeds else ""
