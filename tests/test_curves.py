"""From run folders to the tidy table, and what a sweep lacks."""

import json
from pathlib import Path

import pandas as pd
import pytest
from run_folders import announce, drawn_lines, make_run, make_sweep

from analysis import figure1
from analysis.aggregate import seed_lines
from analysis.curves import COLUMNS, load_curves, measurements, save_curves
from analysis.panels import draw_panels
from analysis.runs import EXPERT, Z_F, RunsError
from analysis.summary import summarise
from analysis.sweep import announced_runs, missing_runs
from gailfe.config.folders import job_subfolder


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


def test_half_done_sweep_names_absent_and_unfinished_runs(tmp_path):
    make_run(tmp_path, "hopper", "gail", 0)
    make_run(tmp_path, "hopper", "gailfe", 1, iterations=3)
    assert missing_runs(load_curves(tmp_path), set()) == [
        "hopper/gail/seed=1: no run folder",
        "hopper/gailfe/seed=0: no run folder",
        "hopper/gailfe/seed=1: 3 of 4 iterations",
    ]


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


@pytest.mark.parametrize(
    ("stopped_early", "missing"), [(True, []), (False, ["hopper/gail/seed=0: 3 of 9 iterations"])]
)
def test_a_run_whose_algorithm_stopped_early_lacks_nothing(tmp_path, stopped_early, missing):
    folder = make_run(tmp_path, iterations=3, budget=9, evaluated={3: 100.0})
    (folder / "summary.json").write_text(json.dumps({"iterations": 3, "stopped_early": stopped_early}))
    assert missing_runs(load_curves(tmp_path), set()) == missing


def test_a_run_whose_algorithm_stopped_early_is_compared_as_it_would_go_on(tmp_path):
    make_run(tmp_path, iterations=9, budget=9, evaluated={1: 0.0, 9: 800.0})
    stopped = make_run(tmp_path, algo="bc", iterations=3, budget=9, evaluated={1: 100.0, 3: 500.0})
    (stopped / "summary.json").write_text(json.dumps({"iterations": 3, "stopped_early": True}))
    text, (record,) = summarise([tmp_path], "gail")
    assert "iterations 1 to 9" in text
    assert (record["final_return_baseline"], record["final_return_algo"]) == (800.0, 500.0)
    assert record["auc_algo"] == pytest.approx((2 * 300 + 6 * 500) / 8)
    assert ([1, 3, 9], [100.0, 500.0, 500.0]) in [(x, y) for _, x, y in drawn_lines(load_curves(tmp_path))]


def test_runs_of_several_places_make_one_table_each_run_once(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path / "study", algo="gailfe", seed=seed)
        make_run(tmp_path / "other", algo="gail", seed=seed)
    other = tmp_path / "results"
    save_curves(load_curves(tmp_path / "other"), other)
    together = load_curves(tmp_path / "study", other)
    assert set(measurements(together)["algo"]) == {"gail", "gailfe"}
    experts = together[(together["algo"] == EXPERT) & (together["metric"] == "eval_return_mean")]
    assert len(experts) == 1, "the expert that both places share"
    assert set(load_curves(tmp_path / "study", other, seeds=[1])["seed"]) == {0, 1}, "0 is the expert's"
    with pytest.raises(RunsError, match=r"study and .*hopper/gailfe/seed=0; valid: each run once"):
        load_curves(tmp_path / "study", other, tmp_path / "study" / "hopper")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("seed", "x", "a value has the wrong type"),
        ("value", "abc", "a value has the wrong type"),
        ("iteration", "", "a value has the wrong type"),
        ("seed", "1.5", r"seed=1\.5 must be a whole number"),
    ],
)
def test_a_results_file_with_a_wrong_value_is_refused_by_name(tmp_path, column, value, message):
    make_run(tmp_path / "runs")
    csv = save_curves(load_curves(tmp_path / "runs"), tmp_path)[0]
    table = pd.read_csv(csv, dtype=str)
    table.loc[len(table) - 1, column] = value
    table.to_csv(csv, index=False)
    with pytest.raises(RunsError, match=rf"curves\.csv: {message}"):
        load_curves(csv)


def test_a_results_file_with_two_values_of_the_same_thing_is_refused(tmp_path):
    make_run(tmp_path / "runs")
    csv = save_curves(load_curves(tmp_path / "runs"), tmp_path)[0]
    table = pd.read_csv(csv)
    again = table[(table["metric"] == "eval_return_mean") & (table["iteration"] == 4)]
    pd.concat([table, again]).to_csv(csv, index=False)
    assert len(load_curves(csv))
    pd.concat([table, again.assign(value=0.5)]).to_csv(csv, index=False)
    with pytest.raises(RunsError, match=r"two values of eval_return_mean in iteration 4 of hopper/gail/seed=0"):
        load_curves(csv)


@pytest.mark.parametrize(
    ("rule", "used"),
    [
        ("rule: dual", True), ("rule: fixed", False),
        ("rule: relative, reach: null", False), ("rule: relative, reach: 0.1", True),
    ],
)  # fmt: skip
def test_z_f_is_a_fact_of_the_runs_whose_rule_has_it_as_a_threshold(tmp_path, rule, used):
    path = make_run(tmp_path, algo="gailfe") / "config.yaml"
    failures = f"name: gailfe\n  failures: {{z_f: -0.5, {rule}}}"
    path.write_text(path.read_text().replace("name: gailfe", failures))
    curves = load_curves(tmp_path)
    assert curves.loc[curves["metric"] == Z_F, "value"].tolist() == [-0.5] * used


def test_figure_of_several_places_is_told_where_to_write(tmp_path, capsys):
    make_run(tmp_path / "a", algo="gail")
    make_run(tmp_path / "b", algo="gailfe")
    runs = f"runs={tmp_path / 'a'},{tmp_path / 'b'}"
    assert figure1.main([runs]) == 1
    assert "out=<folder> says where to write" in capsys.readouterr().err
    assert figure1.main([runs, f"out={tmp_path / 'out'}", "formats=png"]) == 0
    assert set(load_curves(tmp_path / "out")["algo"]) == {"gail", "gailfe", EXPERT}
