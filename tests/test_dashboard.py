"""`python -m analysis.dashboard`: what it would save in W&B, read by wandb-workspaces' own models."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_folders import make_run

from analysis.dashboard import main
from analysis.dashboard_statistics import statistics_of
from analysis.summary import summarise
from gailfe.algorithms.imitation import Imitator
from gailfe.storage.tracking import columns
from gailfe.storage.wandb_run import EXPERT, VIDEO, Sections

pytest.importorskip("wandb_workspaces")


pytestmark = pytest.mark.usefixtures("no_server")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GAIL and GAILFE on two environments, two seeds each."""
    folder = tmp_path_factory.mktemp("runs")
    for env in ("hopper", "ant"):
        for algo, final in (("gail", 1000.0), ("gailfe", 1500.0)):
            for seed in (0, 1):
                evaluated = {2: final / 2, 4: final + 10 * seed}
                make_run(folder, env=env, algo=algo, seed=seed, evaluated=evaluated)
    return folder


@pytest.fixture(scope="module")
def written(runs: Path) -> tuple[str, str]:
    """The JSON of workspace and report."""
    out = runs.parent / "dashboard"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WANDB_API_KEY", raising=False)
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        chosen = ["entity=team", "project=mine", "study=mine", "title=A title", f"runs={runs}", f"out={out}"]
        assert main(chosen) == 0
    return (out / "workspace.json").read_text(), (out / "report.json").read_text()


def test_the_workspace_is_one_of_the_library_and_comes_back_as_it_was(written: tuple[str, str]) -> None:
    from wandb_workspaces.workspaces import Workspace, internal

    view = internal.View.model_validate_json(written[0])
    assert (view.entity, view.project, view.display_name) == ("team", "mine", "A title")
    workspace = Workspace._from_model(view)
    again = json.loads(workspace._to_model().spec.model_dump_json(by_alias=True, exclude_none=True))
    assert again == json.loads(written[0])["spec"]
    assert [section.name for section in workspace.sections] == ["Figure 1", "D", "Failures and λ_F", "Policies"]
    figure, against_steps = workspace.sections[0].panels
    assert shown_by(figure) == ("iteration", ["return/eval_return_mean", EXPERT])
    assert shown_by(against_steps) == ("env_steps", ["return/eval_return_mean", EXPERT])
    assert (figure.groupby_aggfunc, figure.groupby_rangefunc) == ("mean", "minmax")
    assert shown_by(workspace.sections[2].panels[0]) == ("iteration", ["failures/lambda_f"])
    runset = json.loads(written[0])["spec"]["section"]["runSets"][0]
    assert runset["grouping"] == [{"section": "run", "name": "group"}]
    assert filters(runset) == [("run", "jobType", "!=", "collect"), ("config", "study.value", "=", "mine")]


def test_the_report_is_one_of_the_library_with_a_figure_for_each_environment(written: tuple[str, str]) -> None:
    from wandb_workspaces.reports import v2 as wr
    from wandb_workspaces.reports.v2 import internal

    report = wr.Report._from_model(internal.ReportViewspec.model_validate_json(written[1]))
    assert (report.entity, report.project, report.title) == ("team", "mine", "A title")
    grids = [block for block in report.blocks if isinstance(block, wr.PanelGrid)]
    assert [grid.runsets[0].name for grid in grids] == ["ant", "hopper", "runs", "runs", "runs"]
    raw = [block for block in json.loads(written[1])["spec"]["blocks"] if block["type"] == "panel-grid"]
    for grid, block, env in zip(grids, raw, ("ant", "hopper"), strict=False):
        assert shown_by(grid.panels[0]) == ("iteration", ["return/eval_return_mean", EXPERT])
        assert ("config", "env.value.name", "=", env) in filters(block["metadata"]["runSets"][0])
    again = json.loads(report._to_model().model_dump_json(by_alias=True, exclude_none=True))
    spec = json.loads(written[1])["spec"]
    assert spec["width"] == "fluid"
    assert again["spec"] == spec | {"width": again["spec"]["width"]}  # the one thing that the library doesn't read


def test_the_report_has_the_numbers_of_the_summary(written: tuple[str, str], runs: Path) -> None:
    text, records = summarise([runs], "gail")
    blocks = json.loads(written[1])["spec"]["blocks"]
    (table,) = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(lines) == 2 + len(records) == 4
    for cells, record in zip(lines[2:], records, strict=True):
        assert len(cells) == len(lines[0])
        assert cells[:4] == [record["env"], record["algo"], record["baseline"], "2"]
        assert cells[4].startswith(f"{record['final_return_algo']:,.0f} [")
        assert cells[-1] == record["verdict"]
    (code,) = [block for block in blocks if block["type"] == "code-block"]
    assert "".join(values(code, ("text",))) == text


def test_seeds_and_algorithm_of_the_statistics_can_be_chosen(tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        for algo in ("bc", "gailfe"):
            make_run(tmp_path, algo=algo, seed=seed)
    statistics = statistics_of([tmp_path], None, [0, 2])
    row = [cell.strip() for cell in statistics.table.splitlines()[2].strip("|").split("|")]
    assert row[:4] == ["hopper", "gailfe", "bc", "2"]


def test_every_panel_shows_what_a_run_of_gailfe_logs(written: tuple[str, str]) -> None:
    sections = Sections(Imitator.SECTIONS)
    logged = {sections.key(name) for name in columns(Imitator.METRICS)} | {EXPERT, VIDEO}
    for text in written:
        shown = set(values(json.loads(text), ("metrics", "mediaKeys", "xAxis"))) - {"_step"}
        assert {"return/eval_return_mean", EXPERT, VIDEO, "failures/lambda_f", "discriminator/d_failed"} <= shown
        assert shown <= logged


def test_without_an_account_a_server_or_the_extra_it_says_what_is_missing(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb_workspaces.workspaces import Workspace

    assert main(["project=mine"]) == 2
    assert "entity=<team or user> must be given" in capsys.readouterr().err
    monkeypatch.setattr("wandb.login", lambda **kwargs: False)
    assert main(["entity=team", f"runs={runs}"]) == 1
    assert "needs a W&B API key: run `wandb login` or set WANDB_API_KEY" in capsys.readouterr().err

    def unreachable(self: Workspace) -> None:
        raise ConnectionError("no route to host")

    monkeypatch.setattr("wandb.login", lambda **kwargs: True)
    monkeypatch.setattr(Workspace, "save", unreachable)
    assert main(["entity=team", "project=mine", "runs=[]"]) == 1
    assert "W&B did not save the dashboard in team/mine: no route to host" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "analysis.dashboard_views")
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert main(["entity=team"]) == 1
    assert "pip install -c constraints.txt -e '.[dashboard]'" in capsys.readouterr().err


def shown_by(panel: Any) -> tuple[str, list[str]]:
    """What is on the axes of a plot of the library."""
    x, *y = (getattr(metric, "name", metric) for metric in [panel.x, *panel.y])
    return x, y


def filters(runset: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Section, key, operator and value of each filter of a set of runs."""
    found = runset["filters"]["filters"]
    return [(f["key"]["section"], f["key"]["name"], f["op"], f["value"]) for f in found]


def values(node: Any, keys: tuple[str, ...]) -> Iterator[str]:
    """Yield all strings that stand under one of `keys`, at any depth."""
    if isinstance(node, list):
        for entry in node:
            yield from values(entry, keys)
    elif isinstance(node, dict):
        for key, value in node.items():
            if key in keys:
                yield from [value] if isinstance(value, str) else value
            else:
                yield from values(value, keys)
