"""The page of a study: what it holds, and what it refuses."""

import json
import logging
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
from omegaconf import OmegaConf
from report_pages import HOSTILE, Page, make_study, write
from run_folders import make_run

from analysis import report, report_page
from analysis.callback import DrawAfterSweep
from analysis.curves import load_curves, save_curves
from analysis.report_figure import figure_data
from analysis.report_runs import read_runs, shared_and_different
from analysis.summary import compare_tasks, summarise


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    return make_study(tmp_path_factory.mktemp("study"))


def test_statistics_are_those_that_the_summary_prints(study):
    cells = Page(study / "report.html").cells
    text, records = summarise([study], "gail")
    rows = [line for line in text.splitlines() if line.startswith("  ") and re.search(r"  +\S+.*\d", line)]
    shown = {" ".join(cell.split()) for cell in cells}
    compared = 0
    for row in rows:
        parts = [part for part in re.split(r"  +", row.strip()) if part]
        if len(parts) >= 5:
            assert set(parts) <= shown, row
            compared += 1
    assert compared >= 10
    assert len(records) == 3
    for sentence in re.findall(r"^.* against .*\.$", text, re.MULTILINE):
        assert sentence in Page(study / "report.html").text


def test_page_has_only_its_own_script_and_fetches_nothing(study):
    page = Page(study / "report.html")
    assert len(page.scripts) == 2
    assert not any(tag in ("img", "link", "iframe") for tag, given in page.elements if given.get("rel") != "icon")
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    addresses = [address or "" for address in page.values("href") + page.values("src")]
    assert not any(re.match(r"(https?:)?//|javascript:", address) for address in addresses)
    assert f"GAILFE ({HOSTILE.removeprefix('algo.')})" in page.text
    assert f"GAILFE ({HOSTILE.removeprefix('algo.')})" in page.content["names"]
    assert page.text.count("A </script><script>alert(1)</script> study") == 2  # title and heading


def test_missing_runs_are_named_as_in_the_figure(study):
    text = Page(study / "report.html").text
    assert "4 of the sweep's runs" in text
    assert "halfcheetah/gailfe/seed=2: no run folder" in text


def test_links_lead_from_the_page_to_files_that_are_there(study, tmp_path):
    write(f"runs={study}", f"out={tmp_path / 'elsewhere'}", "seeds=[0]")
    page = Page(tmp_path / "elsewhere" / "report_seeds_0.html")
    links = [link for link in page.values("href") if link and not link.startswith(("#", "data:"))]
    assert len(links) >= 10
    assert all((tmp_path / "elsewhere" / unquote(link)).is_file() for link in links)


def test_videos_are_in_the_page_and_where_there_is_none_it_has_the_command(study):
    page = Page(study / "report.html")
    (video,) = (given["src"] for tag, given in page.elements if tag == "video")
    assert video is not None
    assert video.startswith("data:video/mp4;base64,")
    folders = f"{study}/halfcheetah/gail/seed=0,{study}/halfcheetah/gailfe/seed=0"
    assert f"python -m gailfe.watch 'run=[{folders}]'" in page.text


def test_results_file_gives_the_same_page_without_what_only_folders_have(study, tmp_path):
    save_curves(load_curves(study), tmp_path)
    write(f"runs={tmp_path}")
    there, here = Page(study / "report.html"), Page(tmp_path / "report.html")
    assert here.content == there.content
    assert "the curves only" in here.text
    assert "not recorded in a results file" in here.text
    assert "no run folder to make one from" in here.text


def test_page_of_several_places_has_the_runs_of_all_of_them(study, tmp_path):
    save_curves(load_curves(study), tmp_path / "results")
    make_run(tmp_path / "runs", "hopper", "bc")
    write(f"runs={tmp_path / 'runs'},{tmp_path / 'results'}", f"out={tmp_path}", "baseline=bc")
    page = Page(tmp_path / "report.html")
    assert page.content["names"][:3] == ["GAIL", "GAILFE", "BC"]
    assert "Only of the runs with a folder" in page.text
    assert "runs/hopper/bc/seed=0/metrics.csv" in [str(link).replace("%3D", "=") for link in page.values("href")]
    assert "SHA-256 of curves.parquet" in page.text


def test_chart_has_the_mean_its_interval_the_seeds_and_each_meaning_of_x(study):
    content = Page(study / "report.html").content
    assert set(content["axes"]) == {"iteration", "env_steps", "wall_time_s"}
    number = [chart["share"] for chart in content["charts"] if chart["group"] == "return"].index("hopper")
    line = content["charts"][number]["lines"][0]
    assert (content["names"][line["name"]], line["mean"], line["seeds"]) == (
        "GAIL", [105, 205], {"0": [100, 200], "1": [110, 210]},
    )  # fmt: skip
    assert (line["low"], line["high"]) == ([100, 200], [110, 210])
    grid = content["grids"][line["grid"]]
    assert {axis: values["mean"] for axis, values in grid.items()} == {
        "iteration": [2, 4], "env_steps": [2048, 4096], "wall_time_s": [30, 90],
    }  # fmt: skip
    assert {chart["metric"] for chart in content["charts"] if chart["group"] == "mechanism"} == {"d_policy"}


def test_long_curves_are_thinned_to_their_first_last_and_evenly_spaced_points(tmp_path):
    for seed in (0, 1):
        values = {iteration: float(iteration) for iteration in range(1, 2003 - seed * 500)}
        make_run(tmp_path, seed=seed, evaluated=values, iterations=2002)
    curves = load_curves(tmp_path)
    data = figure_data(curves, compare_tasks(curves, [tmp_path], "gail")[0])
    (line,) = data["charts"][0]["lines"]
    iterations = data["grids"][line["grid"]]["iteration"]["mean"]
    assert len(iterations) <= 402
    assert {1, 1502, 2002} <= set(iterations)
    assert line["seeds"]["0"] == iterations
    assert line["mean"][iterations.index(1502)] == 1502
    assert line["mean"][-1] is None
    assert data["every"] == 6


def test_chart_goes_on_with_the_last_value_of_a_run_that_stopped_early(tmp_path):
    make_run(tmp_path, iterations=9, budget=9, evaluated={1: 0.0, 9: 800.0})
    stopped = make_run(tmp_path, algo="bc", iterations=3, budget=9, evaluated={1: 100.0, 3: 500.0})
    (stopped / "summary.json").write_text(json.dumps({"iterations": 3, "stopped_early": True}))
    curves = load_curves(tmp_path)
    data = figure_data(curves, compare_tasks(curves, [tmp_path], "gail")[0])
    (line,) = [line for line in data["charts"][0]["lines"] if data["names"][line["name"]] == "BC"]
    assert (line["mean"], line["seeds"]) == ([100, 500, 500], {"0": [100, 500, 500]})
    grid = {axis: values["mean"] for axis, values in data["grids"][line["grid"]].items()}
    assert grid["iteration"] == [1, 3, 9]
    assert grid["env_steps"] == [1024, 3072, 3072]


def test_configuration_is_told_by_what_it_differs_with(study):
    runs = read_runs([study], [])
    shared, tables = shared_and_different(runs, str)
    assert shared == {"env.num_iterations": "4", "experiment": "figure1"}
    assert tables == []
    for run in runs:
        run.config["algo.window"] = {"gail": "none", "gailfe": "50"}[run.config["algo.name"]]
        run.config["device"] = "cuda" if (run.env, run.algo, run.seed) == ("hopper", "gail", 1) else "cpu"
    algorithm, single = shared_and_different(runs, str)[1]
    assert (algorithm.title, algorithm.columns) == ("algorithm", ["gail", "gailfe"])
    assert algorithm.rows == [("algo.window", ["none", "50"])]
    assert (single.title, len(single.columns)) == ("run", 10)


def test_commit_and_versions_are_shown_where_a_run_records_them(tmp_path):
    folder = make_run(tmp_path)
    write(f"runs={tmp_path}")
    assert "not recorded by the runs' files" in Page(tmp_path / "report.html").text
    (folder / "recipe.json").write_text(json.dumps({"version": 1, "commit": "92e41f5"}))
    write(f"runs={tmp_path}", "baseline=gail")
    text = Page(tmp_path / "report.html").text
    assert "92e41f5 (1 of 1 runs)" in text
    assert "not recorded" not in text


@pytest.mark.parametrize(
    ("argument", "status"),
    [
        ("videos=[absent.mp4]", 2),
        ("videos=[pyproject.toml]", 2),
        ("baseline=gial", 1),
        ("runs=absent", 1),
        ("metric=x", 2),
    ],
)
def test_wrong_argument_is_named_and_no_page_is_written(tmp_path, capsys, argument, status):
    make_run(tmp_path)
    assert report.main([f"runs={tmp_path}", argument]) == status
    assert argument.replace("[", "").replace("]", "") in capsys.readouterr().err
    assert not list(tmp_path.glob("report*"))


def test_sweep_writes_the_report_and_a_fault_of_it_is_a_warning(tmp_path, caplog, monkeypatch):
    make_run(tmp_path, algo="gailfe")  # and no gail to compare with
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "job": {"name": "run"}}})
    caplog.set_level(logging.INFO)
    DrawAfterSweep(formats=["png"]).on_multirun_end(config)
    assert (tmp_path / "report.html").exists()
    assert f"Report: {tmp_path / 'report.html'}" in caplog.text
    (tmp_path / "report.html").unlink()
    monkeypatch.setattr(report_page, "FORM", tmp_path / "gone")
    caplog.clear()
    DrawAfterSweep(formats=["png"]).on_multirun_end(config)
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert f"To write it: python -m analysis.report runs={tmp_path}" in warning.getMessage()
    assert not list(tmp_path.glob("*report*"))
