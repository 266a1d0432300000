"""From synthetic run folders to the tidy table, the statistics, the figure and what is said to be missing."""

import itertools
import json
import logging
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from analysis.aggregate import areas_under, final_values, mean_and_std, seed_lines
from analysis.callback import DrawAfterSweep
from analysis.curves import COLUMNS, load_curves, measurements, save_curves
from analysis.figure1 import main
from analysis.panels import draw_panels
from analysis.runs import RunsError
from analysis.sweep import announced_runs, missing_runs
from gailfe.folders import job_subfolder

Values = dict[int, float]  # iteration → evaluated return


def make_run(
    root: Path,
    env: str = "hopper",
    algo: str = "gail",
    seed: int = 0,
    evaluated: Values | None = None,
    training: Values | None = None,
    iterations: int = 4,
    budget: int = 4,
    folder_name: str | None = None,
    experiment: str = "figure1",
    expert: float | None = 2000.0,
) -> Path:
    """A run folder as the training loop leaves it, with `iterations` rows and these returns in them."""
    folder = root / env / algo / (folder_name or f"seed={seed}")
    folder.mkdir(parents=True)
    OmegaConf.save(
        {
            "env": {"name": env, "num_iterations": budget},
            "algo": {"name": algo},
            "seed": seed,
            "experiment": experiment,
        },
        folder / "config.yaml",
    )
    if evaluated is None:
        evaluated = {2: 100.0, 4: 200.0}
    rows = pd.DataFrame({"iteration": range(1, iterations + 1)})
    rows["env_steps"] = 1024 * rows["iteration"]
    rows["return_mean"] = rows["iteration"].map(training or {})
    rows["eval_return_mean"] = rows["iteration"].map(evaluated)
    rows["lambda_f"] = float("nan")
    rows["kl"] = 0.01
    rows.to_csv(folder / "metrics.csv", index=False)
    if expert is not None:
        (folder / "expert.json").write_text(json.dumps({"eval_return_mean": expert, "eval_return_std": 5.0}))
    return folder


def make_sweep(root: Path) -> Path:
    """Two envs × two algos × two seeds, all of them done."""
    for env in ("hopper", "halfcheetah"):
        for algo in ("gail", "gailfe"):
            for seed in (0, 1):
                offset = 10.0 * seed + (100.0 if algo == "gailfe" else 0.0)
                make_run(root, env, algo, seed, {2: 100.0 + offset, 4: 200.0 + offset})
    return root


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "analysis.figure1", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def drawn_lines(curves: pd.DataFrame, metric: str = "eval_return_mean") -> list[tuple[str, list, list]]:
    """(panel, iterations, values) of every line in the figure."""
    figure = draw_panels(curves, metric, None, [])
    return [
        (axis.get_title(), list(line.get_xdata()), list(line.get_ydata()))
        for axis in figure.axes
        for line in axis.lines
    ]


# The table


def test_table_has_the_documented_columns_and_one_row_for_each_cell_with_a_value(tmp_path):
    make_run(tmp_path, seed=3, evaluated={2: 100.0}, iterations=2, expert=None)
    curves = load_curves(tmp_path)
    assert list(curves.columns) == COLUMNS
    assert str(curves["iteration"].dtype) == str(curves["seed"].dtype) == "int64"
    measured = measurements(curves)[["seed", "iteration", "env_steps", "metric", "value"]]
    assert sorted(measured.itertuples(index=False, name=None)) == [
        (3, 1, 1024, "kl", 0.01),
        (3, 2, 2048, "eval_return_mean", 100.0),
        (3, 2, 2048, "kl", 0.01),
    ]


@pytest.mark.parametrize("half", ["5,5120,,12", "5,5120,,123.0,,0.01", "5"])
def test_half_written_last_line_is_dropped_and_the_rest_is_kept(tmp_path, half):
    metrics = make_run(tmp_path) / "metrics.csv"
    whole = load_curves(tmp_path)
    metrics.write_text(metrics.read_text() + half)
    pd.testing.assert_frame_equal(load_curves(tmp_path), whole)


@pytest.mark.parametrize("content", ["", "iteration,env_steps,eval_re", "iteration,env_steps,kl\n"])
def test_run_that_has_only_begun_is_a_run_without_rows(tmp_path, content):
    make_run(tmp_path, seed=0)
    (make_run(tmp_path, seed=1) / "metrics.csv").write_text(content)
    curves = load_curves(tmp_path)
    assert set(measurements(curves)["seed"]) == {0}
    assert missing_runs(curves, set()) == ["hopper/gail/seed=1: no rows yet"]


def test_iterations_repeated_after_a_resume_count_once_with_their_later_values(tmp_path):
    metrics = make_run(tmp_path, evaluated={4: 200.0}) / "metrics.csv"
    metrics.write_text(metrics.read_text() + "4,4096,,250.0,,0.01\n")
    assert seed_lines(load_curves(tmp_path), "hopper", "gail", "eval_return_mean")[0].tolist() == [250.0]


def test_runs_with_other_overrides_are_another_curve(tmp_path):
    make_run(tmp_path, algo="gailfe", seed=0)
    make_run(tmp_path, algo="gailfe", seed=0, folder_name="seed=0,algo.z_f=-0.1")
    make_run(tmp_path, algo="gailfe", seed=1, folder_name="seed=1,algo.sizes=_64,32_,algo.z_f=-0.1")
    algos = set(measurements(load_curves(tmp_path))["algo"])
    assert algos == {"gailfe", "gailfe (algo.z_f=-0.1)", "gailfe (algo.sizes=_64,32_, algo.z_f=-0.1)"}


def test_two_folders_of_the_same_run_are_refused_with_both_paths(tmp_path):
    first = make_run(tmp_path / "figure1")
    second = make_run(tmp_path / "quick")
    with pytest.raises(RunsError, match="one experiment") as error:
        load_curves(tmp_path)
    assert str(first) in str(error.value)
    assert str(second) in str(error.value)


def test_expert_is_one_row_an_env_and_distinct_value(tmp_path):
    make_run(tmp_path, "hopper", seed=0, expert=3400.0)
    make_run(tmp_path, "hopper", seed=1, expert=3400.0)
    make_run(tmp_path, "hopper", seed=2, expert=None)
    make_run(tmp_path, "halfcheetah", seed=0, expert=4400.0)
    curves = load_curves(tmp_path)
    rows = curves[(curves["algo"] == "expert") & (curves["metric"] == "eval_return_mean")]
    assert rows.drop(columns="metric").to_numpy().tolist() == [
        ["halfcheetah", "expert", 0, 0, 0, 4400.0],
        ["hopper", "expert", 0, 0, 0, 3400.0],
    ]


def test_folder_that_is_no_imitation_run_is_skipped_with_a_warning(tmp_path, caplog):
    make_run(tmp_path)
    other = tmp_path / "ppo"
    other.mkdir()
    (other / "config.yaml").write_text("env: {name: hopper}\nseed: 0\n")
    (other / "metrics.csv").write_text("iteration,env_steps\n1,1024\n")
    assert set(measurements(load_curves(tmp_path))["algo"]) == {"gail"}
    assert str(other) in caplog.text
    assert "algo.name" in caplog.text


@pytest.mark.parametrize("name", ["curves.csv", "curves.parquet", "."])
def test_saved_results_give_the_same_figure_and_the_same_gaps_as_the_run_folders(tmp_path, name):
    runs = make_sweep(tmp_path / "runs")
    make_run(runs, seed=2, evaluated={2: 1 / 3}, iterations=3, experiment="quick")
    curves = load_curves(runs)
    results = tmp_path / "results"
    save_curves(curves, results)
    again = load_curves(results / name)
    pd.testing.assert_frame_equal(again, curves)
    assert drawn_lines(again) == drawn_lines(curves)
    gaps = missing_runs(again, set())
    assert "hopper/gail/seed=2: 3 of 4 iterations" in gaps
    assert gaps == missing_runs(curves, set())
    assert "not a result" in draw_panels(again, "eval_return_mean", None, []).get_suptitle()


def test_run_folders_win_over_the_results_of_an_earlier_drawing_beside_them(tmp_path):
    make_run(tmp_path, seed=0)
    save_curves(load_curves(tmp_path), tmp_path)
    make_run(tmp_path, seed=1)
    assert set(measurements(load_curves(tmp_path))["seed"]) == {0, 1}


# Mean and spread


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


# The figure


def test_each_env_is_a_panel_with_its_seeds_means_and_expert(tmp_path):
    lines = drawn_lines(load_curves(make_sweep(tmp_path)))
    assert {panel for panel, _, _ in lines} == {"Hopper", "HalfCheetah"}
    hopper = [(x, y) for panel, x, y in lines if panel == "Hopper"]
    for expected in ([100.0, 200.0], [110.0, 210.0], [105.0, 205.0], [200.0, 300.0], [205.0, 305.0]):
        assert ([2, 4], expected) in hopper
    assert [2000.0, 2000.0] in [y for _, y in hopper]


def test_legend_counts_the_seeds_and_the_note_names_the_spread_and_the_gaps(tmp_path):
    curves = load_curves(make_sweep(tmp_path))
    figure = draw_panels(curves, "eval_return_mean", "Study", ["hopper/gail/seed=2: 1 of 4 iterations"])
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["GAIL (2 seeds)", "GAILFE (2 seeds)", "Expert (2,000)"]
    assert "standard deviation over seeds" in figure.get_supxlabel()
    assert "hopper/gail/seed=2: 1 of 4 iterations" in figure.get_supxlabel()
    assert "1,024 environment steps" in figure.axes[0].get_xlabel()
    assert figure.get_suptitle() == "Study"


# What is missing


def test_half_done_sweep_names_absent_and_unfinished_runs(tmp_path):
    make_run(tmp_path, "hopper", "gail", 0)
    make_run(tmp_path, "hopper", "gailfe", 1, iterations=3)
    assert missing_runs(load_curves(tmp_path), set()) == [
        "hopper/gail/seed=1: no run folder",
        "hopper/gailfe/seed=0: no run folder",
        "hopper/gailfe/seed=1: 3 of 4 iterations",
    ]


def announce(folder: Path, *jobs: tuple[str, str, int], others: str = "") -> None:
    """What a sweep leaves in its folder about the jobs that it was asked for."""
    listed = {
        f"{env}/{algo}/seed={seed}{others}": {"env": env, "algo": algo, "seed": seed} for env, algo, seed in jobs
    }
    folder.mkdir(exist_ok=True)
    (folder / "jobs.json").write_text(json.dumps(listed))


def test_announced_jobs_are_missed_and_other_combinations_are_not(tmp_path):
    make_run(tmp_path, "hopper", "gail", 0)
    make_run(tmp_path, "ant", "gailfe", 1)
    announce(tmp_path, ("hopper", "gail", 0), ("hopper", "gail", 7))
    assert missing_runs(load_curves(tmp_path), announced_runs(tmp_path)) == ["hopper/gail/seed=7: no run folder"]


def test_announced_overrides_carry_the_label_of_the_folders_that_the_sweep_makes(tmp_path):
    overrides = ["algo.policy.hidden_sizes=[64,32]", "+algo.note='a b'", "algo.z_f=-0.1", "tracking.mode=offline"]
    subfolder = job_subfolder("run", "hopper", "gailfe", 7, ["algo=gailfe", *overrides])
    make_run(tmp_path, "hopper", "gailfe", 7, folder_name=Path(subfolder).name)
    (tmp_path / "jobs.json").write_text(json.dumps({subfolder: {"env": "hopper", "algo": "gailfe", "seed": 7}}))
    curves = load_curves(tmp_path)
    assert set(measurements(curves)["algo"]) != {"gailfe"}
    assert missing_runs(curves, announced_runs(tmp_path)) == []


def test_deleted_key_in_a_folder_name_is_another_curve_too(tmp_path):
    make_run(tmp_path, seed=0)
    make_run(tmp_path, seed=0, folder_name="seed=0,algo.failures")
    assert set(measurements(load_curves(tmp_path))["algo"]) == {"gail", "gail (algo.failures)"}


@pytest.mark.parametrize("content", [None, "", "[]", '{"a": 1}', '{"a": {"env": "hopper"}}', "{"])
def test_missing_or_odd_list_of_jobs_announces_nothing(tmp_path, content):
    if content is not None:
        (tmp_path / "jobs.json").write_text(content)
    assert announced_runs(tmp_path) == set()


# The command


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
        ("metrc=return_mean", ["metrc", "metrc=return_mean", "runs, out, metric, formats, title"]),
    ],
)
def test_wrong_argument_ends_with_a_line_that_names_key_value_and_what_is_valid(argument, named):
    refused = command(argument)
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert len(refused.stderr.splitlines()) == 1
    for part in named:
        assert part in refused.stderr


@pytest.mark.parametrize("argument", ["formats=png", "formats=[]", "formats=[png", "runs=null", "title"])
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
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0, shown.stderr
    for key in (
        "runs=runs/figure1",
        "out=null",
        "metric=eval_return_mean",
        "formats=[png,pdf]",
        "title=null",
    ):
        assert key in shown.stdout


# The callback


def test_callback_draws_into_the_sweeps_folder_and_logs_what_it_wrote(tmp_path, caplog):
    make_sweep(tmp_path)
    caplog.set_level(logging.INFO)
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path)}, "job": {"name": "run"}}})
    DrawAfterSweep(formats=["png", "pdf"]).on_multirun_end(config)
    assert (tmp_path / "figure1.png").exists()
    assert str(tmp_path / "figure1.png") in caplog.text
    assert [record.name for record in caplog.records] == ["analysis.callback"]  # and nothing about fonts


def test_callback_with_nothing_to_draw_warns_and_says_what_to_do(tmp_path, caplog):
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(tmp_path / "absent")}, "job": {"name": "run"}}})
    DrawAfterSweep().on_multirun_end(config)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"python -m analysis.figure1 runs={tmp_path / 'absent'}" in record.getMessage()
