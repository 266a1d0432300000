"""The arguments that the commands of this folder share."""

from dataclasses import dataclass, field
from pathlib import Path

FORMATS = ("png", "pdf", "svg")


@dataclass
class CurvesArguments:
    """Which learning curves a command reads."""

    runs: str = field(
        default="runs/figure1",
        metadata={
            "help": "where the learning curves are",
            "valid": "a folder with run folders below it, a results folder with curves.parquet, or a "
            "results file (.parquet, .csv)",
        },
    )


@dataclass
class FigureArguments(CurvesArguments):
    """Which curves a command draws, and where to."""

    out: str | None = field(
        default=None,
        metadata={
            "help": "where to write; null: into runs itself, or beside it where it is a file",
            "valid": "a folder, made where it does not exist, or null",
        },
    )
    formats: list[str] = field(
        default_factory=lambda: ["png", "pdf"],
        metadata={
            "help": "the files to write",
            "valid": f"a list of one or more of {', '.join(FORMATS)}, such as [png,pdf]",
            "choices": FORMATS,
        },
    )

    @property
    def out_folder(self) -> Path:
        """Where to write."""
        return folder_of(Path(self.runs)) if self.out is None else Path(self.out)


def folder_of(source: Path) -> Path:
    """The folder of learning curves: `source` itself, or the folder that it is in where it is a file."""
    return source.parent if source.is_file() else source
