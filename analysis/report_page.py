"""Puts the page together: content from `analysis`, form from the folder `page/`."""

import base64
import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.arguments import folder_of
from analysis.curves import RESULTS_FILES, measurements
from analysis.layout import NAMES, Layout
from analysis.report_figure import figure_data, legend
from analysis.report_runs import origins, read_runs, sha256, shared_and_different, states
from analysis.report_videos import commands, find_videos, link
from analysis.runs import NUM_ITERATIONS, QUICK, find_run_folders
from analysis.statistics import LEVEL
from analysis.summary import Task, compare_tasks, default_baseline, nothing_compared
from analysis.summary_text import (
    LEGEND,
    TOGETHER,
    comparison_text,
    extent_text,
    panel_tables,
    tasks_table,
    with_interval,
)
from gailfe.storage.names import CONFIG, METRICS

FORM = Path(__file__).parent / "page"
BESIDE = (*RESULTS_FILES, "figure1.png", "figure1.pdf", "mechanism.png", "mechanism.pdf", "README.md")
USED = ("gailfe", "numpy", "scipy", "pandas")  # what the page's numbers were computed with


def page_of(
    curves: pd.DataFrame,
    sources: Sequence[Path],
    page: Path,
    title: str | None,
    baseline: str | None,
    seeds: Sequence[int],
    videos: Sequence[str],
    missing: list[str],
) -> str:
    """Return the page's HTML. All text of files is escaped where it is put in.

    Args:
        curves: the tidy table of `sources`.
        page: where it will be, for links.
        missing: from `sweep.missing_runs`.
        others: as of `report.write_report`.

    Raises:
        RunsError: see `report.write_report`.
    """
    base = baseline or default_baseline(curves)
    layout, tasks = compare_tasks(curves, sources, base)
    runs = read_runs(sources, seeds)
    shown = find_videos(sources, videos, runs, page)
    calls = {label: name for panel in layout.panels for name, label in panel.lines.items()}
    shared, different = shared_and_different(runs, lambda label: calls.get(label, label)) if runs else ({}, [])
    last = measurements(curves).groupby(["env", "algo", "seed"], as_index=False)["iteration"].max()
    reached = {(env, algo, seed): int(done) for env, algo, seed, done in last.itertuples(index=False, name=None)}
    folders = list(dict.fromkeys(map(folder_of, sources)))
    tables = [path for source in sources if (path := results_file(source)) is not None]
    script = "".join((FORM / name).read_text(encoding="utf-8") for name in ("chart.js", "report.js"))
    loader = Environment(
        loader=FileSystemLoader(FORM),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return loader.get_template("report.html").render(
        title=title or ", ".join(folder.resolve().name or "report" for folder in folders),
        sources=sources,
        facts=facts(curves, layout, len(reached)),
        quick=bool((curves["metric"] == QUICK).any()),
        contaminated=bool(curves["algo"].str.contains("contamination").any()),
        missing=missing,
        layout=layout,
        level=f"{LEVEL:.0%}",
        counts=legend(layout, curves),
        data=figure_data(curves, layout),
        definitions=LEGEND,
        overview=[row for task in tasks for row in overview_rows(task)],
        tasks=[statistics_of(task, base) for task in tasks],
        together=tasks_table([(task.panel, task.runs) for task in tasks]),
        together_title=TOGETHER,
        videos=shown,
        commands=commands(layout, runs, shown),
        shared=shared,
        different=different,
        runs=[
            {
                "name": [run.env, calls.get(run.algo, run.algo), run.seed, state],
                "files": [
                    (path.name, link(path, page))
                    for path in (run.folder / METRICS, run.folder / CONFIG, run.folder / "run.log")
                    if path.exists()
                ],
            }
            for run, state in zip(runs, states(runs, reached), strict=True)
        ],
        origins=origins(runs),
        told=any(word in key for key, _ in origins(runs) for word in ("commit", "versions")),
        made={name: importlib.metadata.version(name) for name in USED} | {"Python": platform.python_version()},
        now=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        tables=[(path.name, sha256(path)) for path in tables],
        beside=[
            (name if len(folders) == 1 else f"{folder.name}/{name}", link(folder / name, page))
            for folder in folders
            for name in BESIDE
            if (folder / name).is_file()
        ],
        style=Markup((FORM / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        # The page may run this script and no other, whatever else gets into it; and nothing may be fetched.
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def facts(curves: pd.DataFrame, layout: Layout, runs: int) -> list[tuple[str, str]]:
    """Return what the study is, in a few words."""
    rows = measurements(curves)
    budgets = curves.loc[curves["metric"] == NUM_ITERATIONS, "value"]
    steps = rows.groupby(["env", "algo", "seed"])["env_steps"].max()
    most = int(budgets.max()) if len(budgets) else int(rows["iteration"].max())
    least = int(budgets.min()) if len(budgets) else most
    envs = sorted({panel.env for panel in layout.panels})
    seeds = rows["seed"].nunique()
    return [
        ("Algorithms", ", ".join(layout.names)),
        ("Environments", ", ".join(NAMES.get(env, env[:1].upper() + env[1:]) for env in envs)),
        ("Runs", f"{runs}, with {seeds} seed{'s' * (seeds > 1)}"),
        ("Iterations", f"{most:,}" if least == most else f"{least:,} to {most:,}"),
        ("Environment steps", f"{int(steps.sum()):,} in all"),
    ]


def statistics_of(task: Task, baseline: str) -> dict[str, Any]:
    """Return a task's title, tables and sentences, as `analysis.summary` prints them."""
    names = {label: name for name, label in task.panel.lines.items()}
    sentences = [
        (comparison_text(record, names[record["algo"]], names[record["baseline"]]), record["verdict"])
        for record in task.records
    ]
    return {
        "title": task.panel.title.replace("\n", ", "),
        "extent": extent_text(task.runs, task.iterations),
        "tables": panel_tables(task.panel, task.runs),
        "sentences": sentences or [(nothing_compared(task, baseline), None)],
    }


def overview_rows(task: Task) -> list[dict[str, Any]]:
    """Return a row for each comparison, with its numbers as the sentences have them."""
    names = {label: name for name, label in task.panel.lines.items()}
    rows = []
    for record in task.records:
        chance, chances = record["probability_of_improvement"], record["probability_of_improvement_ci95"]
        spread = f" [{chances[0]:.2f}, {chances[1]:.2f}]" if chances else ""
        rows.append(
            {
                "task": task.panel.title.replace("\n", ", "),
                "algo": names[record["algo"]],
                "baseline": names[record["baseline"]],
                "seeds": record["n_seeds"],
                "difference": with_interval(record["auc_difference"], record["auc_difference_ci95"]),
                "chance": "–" if chance is None else f"{chance:.2f}{spread}",
                "verdict": record["verdict"],
            }
        )
    return rows


def results_file(source: Path) -> Path | None:
    """Return the results file that a source's curves are from; None where they are from run folders."""
    if source.is_file():
        return source
    if find_run_folders(source):
        return None
    return next((source / name for name in RESULTS_FILES if (source / name).is_file()), None)
