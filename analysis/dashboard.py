"""Builds a W&B workspace and a W&B report of runs.

python -m analysis.dashboard entity=my-team project=gailfe
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.arguments import CurvesArguments
from gailfe.config.arguments import ArgumentError, CommandError, argument, run_command
from gailfe.config.extras import install
from gailfe.config.writable import check_folder

if TYPE_CHECKING:
    from wandb_workspaces.reports.v2 import Report
    from wandb_workspaces.workspaces import Workspace

SUMMARY = """\
python -m analysis.dashboard entity=<team> [key=value ...]

Saves, in a project of W&B, a view of its workspace and a report. The view has Figure 1 (the evaluated return,
grouped by environment and algorithm, beside the expert's), and D and λ_F below. The report has the same, with one
figure an environment, and the statistics of python -m analysis.summary, from the run folders on this machine.
Every call saves a new view and a new report. Upload the runs first: wandb sync <run folder>/wandb/offline-run-*.
Needs the extra `dashboard` and a W&B account; out=<folder> needs no account. The last lines are the addresses."""

EXAMPLES = """\
Examples:
  python -m analysis.dashboard entity=my-team project=gailfe study=figure1
  python -m analysis.dashboard entity=my-team runs=[] out=dashboard"""


@dataclass
class DashboardArguments(CurvesArguments):
    entity: str | None = argument(None, "the W&B team or user that has the project", "a name; it must be given")
    project: str = argument("gailfe", "the W&B project (tracking.project)", "a name")
    study: str | None = argument(None, "the runs that are shown; null: all", "a study's name, or null")
    title: str = argument("GAIL and GAILFE", "of the view and of the report", "at most 128 characters of text")
    runs: list[str] = argument(
        ["runs/figure1"], "where the statistics come from; []: there are none", "as in python -m analysis.summary"
    )
    baseline: str | None = argument(
        None,
        "what the others are compared with; null: gail, or the first algorithm where there is no gail",
        "as in python -m analysis.summary, or null",
    )
    out: str | None = argument(
        None,
        "write what would be saved there, workspace.json and report.json, and upload nothing",
        "a folder, made where it does not exist, or null",
    )


def work(chosen: DashboardArguments) -> None:
    logging.basicConfig(format="%(levelname)s: %(message)s")
    if not chosen.entity:
        raise ArgumentError("entity=<team or user> must be given (--help explains it)")
    if len(chosen.title) > 128:
        raise ArgumentError(f"title={chosen.title}: valid is at most 128 characters of text")
    try:
        from analysis.dashboard_views import make_report, make_workspace
    except ImportError as error:
        raise CommandError(
            f"the dashboard needs the extra `dashboard`: {install('dashboard')} ({error})"
        ) from error
    from analysis.dashboard_statistics import Statistics, statistics_of

    if chosen.out is None:
        check_account()
    else:
        check_folder("out", chosen.out)
    statistics = statistics_of(chosen.sources, chosen.baseline, chosen.seeds) if chosen.runs else Statistics()
    place = (chosen.entity, chosen.project, chosen.title, chosen.study)
    workspace, report = make_workspace(*place), make_report(*place, statistics)
    for address in save(workspace, report) if chosen.out is None else write(workspace, report, Path(chosen.out)):
        print(address)


def check_account() -> None:
    """Raise CommandError where no account of W&B is known on this machine."""
    import wandb

    wandb.setup(wandb.Settings(silent=True))  # else it also asks the server who we are
    if not wandb.login(prompt=False, verify=False):
        raise CommandError(
            "saving a dashboard needs a W&B API key: run `wandb login` or set WANDB_API_KEY; out=<folder> writes "
            "its JSON without one"
        )


def save(workspace: "Workspace", report: "Report") -> list[str]:
    """Save both in W&B; returns their addresses.

    Raises:
        CommandError: if the server can't be reached or refuses; the message has its words.
    """
    try:
        workspace.save()
        report.save()
    except Exception as error:  # the library passes on those of all that it is made of
        raise CommandError(
            f"W&B did not save the dashboard in {report.entity}/{report.project}: {error} (the project must be "
            "there, with runs in it)"
        ) from error
    return [workspace.url, report.url]


def write(workspace: "Workspace", report: "Report", folder: Path) -> list[Path]:
    """Write what `save` would send to W&B; returns the paths."""
    from gailfe.storage.files import write_text

    paths = []
    for name, content in (("workspace", workspace), ("report", report)):
        model = content._to_model()  # what the library's own `save` sends
        paths.append(folder / f"{name}.json")
        write_text(paths[-1], model.model_dump_json(by_alias=True, exclude_none=True, indent=2) + "\n")
    return paths


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0, 1 for what can't be saved, 2 for a wrong argument."""
    return run_command(DashboardArguments, SUMMARY, EXAMPLES, work, arguments)


if __name__ == "__main__":
    sys.exit(main())
