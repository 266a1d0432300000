"""The statistics, the figure, its command and its callback."""

import itertools
import logging
import math
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from run_folders import announce, drawn_lines, make_run, make_sweep

from analysis.aggregate import areas_under, final_values, mean_and_std, seed_lines
from analysis.callback import DrawAfterSweep
from analysis.curves import load_curves, save_curves
from analysis.figure1 import main
from analysis.panels import draw_panels


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "analysis.figure1", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=300)


def test_mean_and_spread_over_seeds_match_the_hand_computation(tmp_path):
    for seed, value in enumerate([100.0, 200.0, 600.0]):
        make_run(tmp_path, seed=seed, evaluated={2: value, 4: value + 1})
    summary = mean_and_std(seed_lines(load_curves(tmp_path), "hopper", "gail", "eval_return_mean"))
    assert summary["mean"].to_dict() == {2: 300.0, 4: 301.0}
    # Squared deviations 200², 100², 300², over n − 1 = 2.
    assert summary["std"].tolist() == pytest.approx([math.sqrt(70000.0)] * 2)


def test_mean_ends_where_the_first_seed_ends(tmp_path):
    make_run(tmp_path, seed=0, evaluated={2: 0.0, 4: 0.0})
    make_run(tmp_path, seed=1, evaluated={2: 1000.0}, iterations=3)
    lines = seed_lines(load_curves(tmp_path), "hopper", "gail", "eval_return_mean")
    assert mean_and_std(lines)["mean"].to_dict() == {2: 500.0}
    assert lines[0].dropna().index.tolist() == [2, 4]  # the seed itself is still drawn to its end


def test_returns_between_two_episode_ends_are_read_off_the_straight_line_and_never_beyond(tmp_path):
    make_run(tmp_path, seed=0, training={1: 10.0, 3: 30.0})
    make_run(tmp_path, seed=1, training={2: 100.0, 4: 300.0})
    lines = seed_lines(load_curves(tmp_path), "hopper", "gail", "return_mean")
    assert lines[0].dropna().to_dict() == {1: 10.0, 2: 20.0, 3: 30.0}
    assert mean_and_std(lines)["mean"].to_dict() == {2: 60.0, 3: 115.0}


def test_single_seed_has_a_mean_but_no_spread(tmp_path):
    make_run(tmp_path)
    summary = mean_and_std(seed_lines(load_curves(tmp_path), "hopper", "gail", "eval_return_mean"))
    assert summary["mean"].tolist() == [100.0, 200.0]
    assert summary["std"].isna().all()


def test_area_is_each_seeds_average_height_over_the_common_iterations():
    lines = pd.DataFrame({0: [0.0, 10.0, 10.0], 1: [0.0, 4.0, np.nan]}, index=[1, 3, 9])
    assert areas_under(lines).to_dict() == {0: 5.0, 1: 2.0}
    whole = pd.DataFrame({0: [0.0, 10.0, 20.0]}, index=[0, 10, 40])
    assert areas_under(whole)[0] == (10 * 5 + 30 * 15) / 40


def test_final_values_are_those_of_the_last_common_iteration_in_percent_of_the_expert(tmp_path):
    make_run(tmp_path, seed=0, evaluated={2: 900.0, 4: 1400.0}, expert=2000.0)
    make_run(tmp_path, seed=1, evaluated={2: 1100.0, 4: 1600.0}, expert=2000.0)
    (row,) = final_values(load_curves(tmp_path), "eval_return_mean").to_dict("records")
    assert (row["seeds"], row["iteration"], row["mean"]) == (2, 4, 1500.0)
    assert (row["expert"], row["percent_of_expert"]) == (2000.0, 75.0)


def test_each_env_is_a_panel_with_its_seeds_means_and_expert(tmp_path):
    lines = drawn_lines(load_curves(make_sweep(tmp_path)))
    assert {panel for panel, _, _ in lines} == {"Hopper", "HalfCheetah"}
    hopper = [(x, y) for panel, x, y in lines if panel == "Hopper"]
    for expected in ([100.0, 200.0], [110.0, 210.0], [105.0, 205.0], [200.0, 300.0], [205.0, 305.0]):
        assert ([2, 4], expected) in hopper
    assert [2000.0, 2000.0] in [y for _, y in hopper]


@pytest.mark.parametrize(("iterations", "best"), [(17, 400.0), (4, 1.0), (1000, 6700.0)])
def test_every_tick_is_labelled_with_its_own_value_and_iterations_are_whole(tmp_path, iterations, best):
    make_run(tmp_path, evaluated={1: 0.0, iterations: best}, iterations=iterations, expert=None)
    (axis, *_) = draw_panels(load_curves(tmp_path), "eval_return_mean", None, []).axes
    for along in (axis.xaxis, axis.yaxis):
        for position in along.get_majorticklocs():
            label = along.get_major_formatter()(position).replace("\N{MINUS SIGN}", "-").replace(",", "")
            assert float(label) == pytest.approx(position, abs=1e-9)
    assert all(position == round(position) for position in axis.xaxis.get_majorticklocs())


def test_legend_counts_the_seeds_and_the_note_names_the_interval_and_the_gaps(tmp_path):
    curves = load_curves(make_sweep(tmp_path))
    figure = draw_panels(curves, "eval_return_mean", "Study", ["hopper/gail/seed=2: 1 of 4 iterations"])
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "GAIL (2 seeds)",
        "GAILFE (2 seeds)",
        "Expert (2,000)",
    ]
    assert "95% bootstrap interval" in figure.get_supxlabel()
    assert "hopper/gail/seed=2: 1 of 4 iterations" in figure.get_supxlabel()
    assert "1,024 environment steps" in figure.axes[0].get_xlabel()
    assert figure.get_suptitle() == "Study"


def test_command_draws_a_half_done_sweep_and_says_what_is_missing_and_what_it_wrote(tmp_path):
    runs = make_sweep(tmp_path / "runs")
    announce(runs, *itertools.product(["hopper"], ["gail", "gailfe"], [0, 1, 2]))
    done = command(f"runs={runs}", f"out={tmp_path / 'out'}", "formats=[png,pdf,svg]")
    assert done.returncode == 0, done.stderr
    assert "hopper/gailfe/seed=2: no run folder" in done.stdout
    for name in ("figure1.png", "figure1.pdf", "figure1.svg", "curves.csv", "curves.parquet"):
        assert (tmp_path / "out" / name).stat().st_size > 0
        assert str(tmp_path / "out" / name) in done.stdout
    assert sorted(path.name for path in runs.iterdir()) == ["halfcheetah", "hopper", "jobs.json"]
    assert len(list((tmp_path / "out").iterdir())) == 5  # nothing half-written is left


@pytest.mark.parametrize(
    ("argument", "named"),
    [
        ("formats=[png,gif]", ["formats=[png,gif]", "png, pdf, svg"]),
        ("metrc=return_mean", ["metrc", "metrc=return_mean", "runs, seeds, out, formats, metric, title"]),
    ],
)
def test_wrong_argument_ends_with_a_line_that_names_key_value_and_what_is_valid(argument, named):
    refused = command(argument)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    for part in named:
        assert part in refused.stderr


@pytest.mark.parametrize("argument", ["formats=bmp", "formats=[]", "formats=[png", "runs=null", "title"])
def test_arguments_of_the_wrong_kind_are_refused(argument, capsys):
    assert main([argument]) == 2
    assert argument in capsys.readouterr().err


def test_unknown_metric_is_refused_with_those_that_have_values(tmp_path, capsys):
    make_run(tmp_path)
    assert main([f"runs={tmp_path}", "metric=reward"]) == 1
    error = capsys.readouterr().err
    assert "metric=reward" in error
    assert "eval_return_mean, kl" in error


@pytest.mark.parametrize("kind", ["absent", "empty", "other.txt", "narrow.csv", "odd.parquet"])
def test_source_without_curves_is_refused_with_its_path_and_what_would_be_valid(tmp_path, kind, capsys):
    source = tmp_path / kind
    if kind == "empty":
        source.mkdir()
    elif kind != "absent":
        source.write_text("env,algo\nhopper,gail\n")
    assert main([f"runs={source}"]) == 1
    error = capsys.readouterr().err
    assert str(source) in error
    assert "valid" in error or "not readable" in error


def test_results_file_is_drawn_beside_itself_unless_told_otherwise(tmp_path, capsys):
    (parquet,) = (
        path
        for path in save_curves(load_curves(make_sweep(tmp_path / "runs")), tmp_path / "results")
        if path.suffix == ".parquet"
    )
    assert main([f"runs={parquet}", "formats=[png]", "title=Hopper: and more"]) == 0
    assert (tmp_path / "results" / "figure1.png").exists()


def test_training_return_is_drawn_into_files_of_its_own(tmp_path, capsys):
    make_run(tmp_path, training={1: 1.0, 3: 2.0})
    assert main([f"runs={tmp_path}", "metric=return_mean", "formats=[png]"]) == 0
    assert (tmp_path / "figure1_return_mean.png").exists()
    assert not (tmp_path / "figure1.png").exists()


def test_help_explains_every_key_without_loading_pandas_or_matplotlib():
    code = (
        "import sys; from analysis.figure1 import main; status = main(['--help']); "
        "sys.exit(status or bool({'pandas', 'matplotlib'} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert shown.returncode == 0, shown.stderr
    for key in (
        "runs=[runs/figure1]",
        "out=null",
        "metric=eval_return_mean",
        "formats=[png,pdf]",
        "title=null",
    ):
        assert key in shown.stdout


def test_callback_draws_into_the_sweeps_folder_and_logs_what_it_wrote(tmp_path, caplog):
    make_sweep(tmp_path)
    caplog.set_level(logging.INFO)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "job": {"name": "run"}}})
    DrawAfterSweep(formats=["png", "pdf"]).on_multirun_end(config)
    assert (tmp_path / "figure1.png").exists()
    assert str(tmp_path / "figure1.png") in caplog.text
    assert {record.name for record in caplog.records} == {"analysis.callback"}  # and nothing about fonts


DAMAGES: dict[str, tuple[str, bytes, int]] = {  # of one run of three, and how many are drawn
    "rows are no text": ("metrics.csv", b"iteration,env_steps\n1,1024\n\xff,2048\n", 2),
    "rows are no table": ("metrics.csv", b"iteration,env_steps\n1,1024\n2,2048,3\n", 2),
    "configuration is no text": ("config.yaml", b"\xff", 2),
    "seed is text": ("config.yaml", b"env: {name: hopper}\nalgo: {name: gail}\nseed: one\n", 2),
    "budget is text": ("config.yaml", b"env: {name: hopper, num_iterations: x}\nalgo: {name: gail}\nseed: 1\n", 2),
    "expert is a list": ("expert.json", b"[1]", 3),
    "expert's return is text": ("expert.json", b'{"eval_return_mean": "much"}', 3),
    "expert is no text": ("expert.json", b"\xff", 3),
}


@pytest.mark.parametrize(("name", "content", "drawn"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_is_named_and_costs_a_sweep_neither_its_figure_nor_its_report(
    name: str, content: bytes, drawn: int, tmp_path, caplog
):
    folders = [make_run(tmp_path, seed=seed) for seed in range(3)]
    (folders[1] / name).write_bytes(content)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "job": {"name": "run"}}})
    caplog.set_level("INFO")
    DrawAfterSweep(formats=["png"]).on_multirun_end(config)
    assert str(folders[1] / name) in caplog.text
    assert "is not drawn" not in caplog.text
    assert "is not written" not in caplog.text
    assert (tmp_path / "figure1.png").exists()
    assert (tmp_path / "report.html").exists()
    of_runs = load_curves(tmp_path).query("algo != 'expert'")
    assert len(set(of_runs["seed"])) == drawn


def test_where_every_run_is_damaged_the_figure_is_refused_by_name(tmp_path, capsys):
    metrics = make_run(tmp_path) / "metrics.csv"
    metrics.write_bytes(b"\xff")
    assert main([f"runs={tmp_path}"]) == 1
    assert str(metrics) in capsys.readouterr().err


def test_callback_with_nothing_to_draw_warns_and_says_what_to_do(tmp_path, caplog):
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "absent")}, "job": {"name": "run"}}})
    DrawAfterSweep().on_multirun_end(config)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"python -m analysis.figure1 runs={tmp_path / 'absent'}" in record.getMessage()
