"""The workspace and the report of W&B, made by wandb-workspaces; nothing here asks a server.

Runs are grouped by their W&B group, `<study>/<env>/<algo>` and the settings that set a run apart, so a
mean over seeds never mixes two settings.
"""

from collections.abc import Sequence

from wandb_workspaces import expr
from wandb_workspaces.reports import v2 as wr
from wandb_workspaces.workspaces import (
    RunsetSettings,
    Section,
    SectionLayoutSettings,
    Workspace,
    WorkspaceSettings,
)

from analysis.dashboard_statistics import Statistics
from gailfe.storage.wandb_artifacts import COLLECT
from gailfe.storage.wandb_run import EXPERT, VIDEO

BAND = "A line is the mean over seeds; the band goes from the lowest to the highest of them."
COLUMNS = [
    *("summary:final/eval_return_mean", "summary:best/eval_return_mean", "summary:final/percent_of_expert"),
    "summary:expert/return_mean",
]
RETURN = ["return/eval_return_mean", EXPERT]
DISCRIMINATOR = {
    "D on the policy's pairs": "discriminator/d_policy",
    "D on the expert's pairs": "discriminator/d_expert",
    "D on failed pairs": "discriminator/d_failed",
    "E[log D] on failed pairs": "discriminator/log_d_failed",
}
FAILURES = {
    "λ_F": "failures/lambda_f",
    "slack of the constraint": "failures/slack",
    "failed episodes": "failures/failed_episodes",
    "trajectories in β_F": "failures/failure_buffer_trajectories",
}
WIDTH = 24  # of a report's grid


def make_workspace(entity: str, project: str, title: str, study: str | None) -> Workspace:
    """Return a saved view of the workspace: Figure 1, below it D, λ_F and videos, then all other metrics.

    Args:
        entity, project: of W&B.
        title: the view's name.
        study: whose runs are shown; None: all.
    """
    wide = SectionLayoutSettings(columns=2, rows=1)
    return Workspace(
        entity=entity,
        project=project,
        name=title,
        auto_generate_panels=True,  # also the histograms, which the library has no panel for
        sections=[
            Section(
                name="Figure 1",
                panels=[line("Evaluated return", RETURN), line("Evaluated return", RETURN, x="env_steps")],
                is_open=True,
                pinned=True,
                layout_settings=wide,
            ),
            Section(name="D", panels=lines(DISCRIMINATOR), is_open=True, layout_settings=wide),
            Section(name="Failures and λ_F", panels=lines(FAILURES), is_open=True, layout_settings=wide),
            Section(name="Policies", panels=[video()], layout_settings=wide),
        ],
        settings=WorkspaceSettings(x_axis="iteration", max_runs=100),
        runset_settings=RunsetSettings(
            filters=chosen(study), groupby=[expr.Metric("Group")], pinned_columns=COLUMNS
        ),
    )


def make_report(entity: str, project: str, title: str, study: str | None, statistics: Statistics) -> wr.Report:
    """Return a report: Figure 1 with a panel grid for each environment, the statistics, D and λ_F, videos.

    Args:
        entity, project: of W&B.
        title: of the report.
        study: whose runs are shown; None: all.
        statistics: whose environments get a grid of their own; without any, there is one for all.
    """
    blocks: list = [wr.H1("Figure 1"), wr.P(f"Return of the mean action, and the expert's. {BAND}")]
    for env in statistics.envs or (None,):
        name = [] if env is None else [wr.H2(env)]
        panels = [line("Evaluated return", RETURN, layout=wr.Layout(0, 0, WIDTH, 10))]
        blocks += [*name, grid(study, env, panels)]
    if statistics.text:
        blocks += [wr.H1("Statistics"), wr.MarkdownBlock(statistics.table)] if statistics.table else []
        blocks += [wr.CodeBlock(statistics.text, language="markdown")]
    for heading, metrics in (("Discriminator", DISCRIMINATOR), ("Failures and λ_F", FAILURES)):
        blocks += [wr.H1(heading), grid(study, None, in_two_columns(metrics))]
    blocks += [wr.H1("Policies"), grid(study, None, [video(wr.Layout(0, 0, WIDTH, 10))], grouped=False)]
    return wr.Report(
        entity=entity,
        project=project,
        title=title,
        description="GAIL and GAILFE: made by python -m analysis.dashboard",
        blocks=blocks,
        width="fluid",
    )


def chosen(study: str | None, env: str | None = None) -> expr.And:
    """Return the filters of runs: trainings alone, of a study and of an environment where one is named.

    Keys of a config are written as W&B's own pages write them: `value` follows the first name.
    """
    filters = [expr.Metric("JobType") != COLLECT]
    filters += [] if study is None else [expr.Config("study.value") == study]
    filters += [] if env is None else [expr.Config("env.value.name") == env]
    return expr.And(*filters)


def grid(study: str | None, env: str | None, panels: Sequence, grouped: bool = True) -> wr.PanelGrid:
    """Return a grid of panels of the report's own project."""
    groupby = ["group"] if grouped else []
    filters = chosen(study, env)
    runs = wr.Runset(name=env or "runs", filters=filters, groupby=groupby, pinned_columns=COLUMNS)
    return wr.PanelGrid(runsets=[runs], panels=list(panels))


def line(title: str, metrics: Sequence[str], x: str = "iteration", layout: wr.Layout | None = None) -> wr.LinePlot:
    """Return a plot of metrics: mean and range over the runs of a group."""
    return wr.LinePlot(
        title=title,
        x=x,
        y=list(metrics),
        title_x=x,
        groupby_aggfunc="mean",
        groupby_rangefunc="minmax",
        max_runs_to_show=100,
        layout=layout or wr.Layout(),
    )


def lines(metrics: dict[str, str]) -> list:
    return [line(title, [metric]) for title, metric in metrics.items()]


def in_two_columns(metrics: dict[str, str]) -> list:
    half = WIDTH // 2
    return [
        line(title, [metric], layout=wr.Layout(half * (i % 2), 8 * (i // 2), half, 8))
        for i, (title, metric) in enumerate(metrics.items())
    ]


def video(layout: wr.Layout | None = None) -> wr.MediaBrowser:
    """Return a gallery of the videos of policies, by iteration."""
    return wr.MediaBrowser(
        title="The policy at the start, in the middle and at the end",
        media_keys=[VIDEO],
        gallery_axis="step",
        layout=layout or wr.Layout(),
    )
