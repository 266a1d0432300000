"""One page with everything a study has found, for someone without this software.

python -m analysis.report runs=runs/figure1
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.arguments import OutArguments, seeds_suffix
from gailfe.config.arguments import ArgumentError, argument, run_command

HELP = """\
python -m analysis.report [key=value ...]

Writes report.html: one file that any browser opens from disk, without a network. It has Figure 1 to point at
(single seeds, and x as iterations, environment steps or wall time), the statistics of `analysis.summary`, D and
λ_F over training, the runs' videos, their configuration and where they came from, and links to the data. A
half-done sweep is shown as far as it is, and what is missing is named."""

EXAMPLES = """\
Examples:
  python -m analysis.report runs=runs/figure1
  python -m analysis.report runs=results/contamination out=pages title='Contaminated demonstrations'
  python -m analysis.report runs=runs/ablation baseline=gailfe videos=[gail.mp4,gailfe.mp4]"""

VIDEO_TYPES = (".mp4", ".webm")


@dataclass
class ReportArguments(OutArguments):
    title: str | None = argument(
        None, "the page's title; null: the names of the runs' folders", "any text, or null"
    )
    baseline: str | None = argument(
        None,
        "what the others are compared with, as in analysis.summary; null: gail, or the first algorithm without it",
        "an algorithm's name, a whole label such as 'gailfe (algo.failures.window=50)', or null",
    )
    videos: list[str] = argument(
        [], "videos to show beside those below the runs' folder", f"a list of files ({', '.join(VIDEO_TYPES)})"
    )


@dataclass(frozen=True)
class Report:
    """The page that was written, and what the sweep lacks."""

    path: Path
    missing: list[str]

    def report(self) -> str:
        """Return both, for a person to read."""
        from analysis.sweep import missing_text

        wrote = f"Wrote:\n  {self.path} ({self.path.stat().st_size / 2**20:.1f} MB)"
        return "\n\n".join(part for part in (missing_text(self.missing), wrote) if part)


def write_report(
    runs: Sequence[Path],
    out: Path,
    title: str | None = None,
    baseline: str | None = None,
    seeds: Sequence[int] = (),
    videos: Sequence[str] = (),
) -> Report:
    """Reads what is at `runs` and writes the page into `out`.

    Args:
        seeds: the runs to show; none: all of them.
        videos: files to show beside those below `runs`.

    Raises:
        RunsError: `runs` is no source of curves, has no evaluated return (yet), or no run of `baseline`.
    """
    # Here and not above: `--help` and a mistyped key should not wait for pandas.
    from analysis.curves import load_curves
    from analysis.report_page import page_of
    from analysis.sweep import announced_runs, missing_runs
    from gailfe.storage.files import write_text

    curves = load_curves(*runs, seeds=seeds)
    missing = missing_runs(curves, announced_runs(*runs), seeds)
    path = out / f"report{seeds_suffix(seeds)}.html"
    write_text(path, page_of(curves, runs, path, title, baseline, seeds, videos, missing))
    return Report(path, missing)


def work(chosen: ReportArguments) -> None:
    for name in chosen.videos:
        if Path(name).suffix not in VIDEO_TYPES or not Path(name).is_file():
            raise ArgumentError(f"videos={name}: valid is a file that is there ({', '.join(VIDEO_TYPES)})")
    logging.basicConfig(format="%(levelname)s: %(message)s")
    made = write_report(
        chosen.sources, chosen.out_folder, chosen.title, chosen.baseline, chosen.seeds, chosen.videos
    )
    print(made.report())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for a source without curves, 2 for a wrong argument."""
    return run_command(ReportArguments, HELP, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
