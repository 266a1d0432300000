"""`python -m analysis.summary`: the statistics of a sweep, recomputed by hand and with plain pandas."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import STEPS, make_run, make_runs, records

from analysis.curves import load_curves, save_curves
from analysis.runs import RunsError
from analysis.summary import main, summarise

COMMITTED = Path(__file__).parents[1] / "results" / "figure1" / "curves.parquet"


def test_only_the_chosen_seeds_count_and_a_seed_that_is_not_there_is_refused(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1100.0, 9000.0])
    make_runs(tmp_path, "gailfe", [1800.0, 1900.0, 9000.0])
    text, (record,) = summarise([tmp_path], "gail", seeds=[0, 1])
    assert (record["n_seeds"], record["auc_baseline"], record["auc_algo"]) == (2, 787.5, 1387.5)
    assert record["percent_of_expert_algo"] == 92.5  # the expert's own row has no seed to choose
    assert "Not complete" not in text
    with pytest.raises(RunsError, match=r"seeds=\[0, 7\].*\[0, 1, 2\]"):
        summarise([tmp_path], "gail", seeds=[0, 7])


def test_last_line_of_the_command_is_json_with_the_documented_keys(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1100.0, 1200.0])
    make_runs(tmp_path, "gailfe", [1800.0, 1900.0, 2000.0])
    line = [sys.executable, "-m", "analysis.summary", f"runs={tmp_path}"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout.splitlines()[-1])
    assert (record["env"], record["baseline"], record["algo"], record["n_seeds"]) == (
        "hopper",
        "gail",
        "gailfe",
        3,
    )
    # A straight line from final/2 to final has the average height 3/4 final.
    assert (record["auc_baseline"], record["auc_algo"]) == (825.0, 1425.0)
    assert record["auc_difference_ci95"] == pytest.approx([600.0, 600.0])
    assert (record["probability_of_improvement"], record["probability_of_improvement_ci95"]) == (1.0, [1.0, 1.0])
    # The expert returns 2000: 1600 is reached at iteration 4 by GAILFE and never by GAIL.
    assert (record["steps_to_80_baseline"], record["steps_to_80_algo"]) == (None, 4 * STEPS)
    assert (record["steps_to_80_never_baseline"], record["steps_to_80_more_than_baseline"]) == (3, 4 * STEPS)
    assert (record["final_return_algo"], record["percent_of_expert_algo"]) == (1900.0, 95.0)
    assert "GAILFE is faster: the interval lies above 0." in done.stdout
    assert "> 4,096 (3 of 3 never)" in done.stdout


def recomputed(curves: pd.DataFrame, env: str, algo: str) -> pd.DataFrame:
    """One row a seed, from the long table with pandas and numpy alone."""
    rows = curves[(curves["env"] == env) & (curves["algo"] == algo) & (curves["metric"] == "eval_return_mean")]
    expert = curves[
        (curves["env"] == env) & (curves["algo"] == "expert") & (curves["metric"] == "eval_return_mean")
    ]
    table = {}
    for seed, run in rows.sort_values("iteration").groupby("seed"):
        x, y = run["iteration"].to_numpy(), run["value"].to_numpy()
        area = ((y[1:] + y[:-1]) / 2 * np.diff(x)).sum() / (x[-1] - x[0])
        at_80 = run[run["value"] >= 0.8 * expert["value"].mean()]
        table[seed] = {"auc": area, "steps_to_80": at_80["env_steps"].min(), "final": y[-1]}
    return pd.DataFrame.from_dict(table, orient="index")


@pytest.mark.parametrize("env", ["halfcheetah", "hopper"])
def test_every_number_comes_from_the_committed_table_with_pandas_alone(env):
    record = next(record for record in summarise([COMMITTED], "gail")[1] if record["env"] == env)
    curves = pd.read_parquet(COMMITTED)
    gail, gailfe = recomputed(curves, env, "gail"), recomputed(curves, env, "gailfe")
    for side, table in (("baseline", gail), ("algo", gailfe)):
        assert record[f"auc_{side}"] == pytest.approx(table["auc"].mean())
        assert record[f"auc_median_{side}"] == pytest.approx(table["auc"].median())
        assert record[f"steps_to_80_{side}"] == table["steps_to_80"].median()
        assert record[f"final_return_{side}"] == pytest.approx(table["final"].mean())
        assert [run["auc"] for run in record[f"runs_{side}"]] == pytest.approx(table["auc"].tolist())
    above = gailfe["auc"].to_numpy()[:, None] > gail["auc"].to_numpy()
    assert record["probability_of_improvement"] == above.mean()
    failed = curves[(curves["env"] == env) & (curves["metric"] == "failed_episodes")]
    assert record["failed_episodes_algo"] == failed.groupby("seed")["value"].sum().mean()
    assert record["failed_episodes_baseline"] is None
    difference = gailfe["auc"] - gail["auc"]
    half = 4.302653 * difference.std() / np.sqrt(3)  # Student's t(0.975) with 2 degrees of freedom
    ends = (difference.mean() - half, difference.mean() + half)
    assert record["auc_difference_ci95"] == pytest.approx(ends, rel=1e-5)


def test_nothing_is_called_faster_where_the_interval_holds_zero(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1100.0, 1200.0])
    make_runs(tmp_path, "gailfe", [1010.0, 1150.0, 2000.0])  # above GAIL in every seed, mostly by luck
    text, (record,) = summarise([tmp_path], "gail")
    assert record["auc_difference"] > 0
    assert record["verdict"] == "undecided"
    assert "Neither is called faster" in text
    assert "is faster" not in text


def test_single_seed_has_numbers_but_no_interval_and_the_text_says_so(tmp_path):
    make_runs(tmp_path, "gail", [1000.0])
    make_runs(tmp_path, "gailfe", [2000.0])
    text, (record,) = summarise([tmp_path], "gail")
    assert (record["n_seeds"], record["auc_difference"], record["probability_of_improvement"]) == (1, 750.0, 1.0)
    assert record["auc_difference_ci95"] is record["probability_of_improvement_ci95"] is record["verdict"] is None
    assert record["auc_ci95_algo"] is None
    assert "No interval: that needs 2 seeds of each" in text


def test_runs_share_the_iterations_that_they_are_compared_over(tmp_path):
    make_run(tmp_path, algo="gail", seed=0, evaluated={1: 0.0, 3: 200.0, 4: 1000.0})
    make_run(tmp_path, algo="gailfe", seed=0, evaluated={1: 0.0, 3: 400.0}, iterations=3)
    text, (record,) = summarise([tmp_path], "gail")
    assert (record["auc_baseline"], record["auc_algo"]) == (100.0, 200.0)
    assert "iterations 1 to 3" in text
    assert "hopper/gailfe/seed=0: 3 of 4 iterations" in text


def test_censored_seeds_count_in_the_median_as_longer_than_their_run(tmp_path):
    make_runs(tmp_path, "gail", [2000.0, 1000.0, 1000.0])
    make_runs(tmp_path, "gailfe", [2000.0, 4000.0, 1000.0])
    record = records(tmp_path)["gailfe"]
    assert [run["steps_to_80"] for run in record["runs_algo"]] == [4 * STEPS, 2 * STEPS, None]
    assert (record["steps_to_80_algo"], record["steps_to_80_never_algo"]) == (4 * STEPS, 1)
    assert (record["steps_to_80_baseline"], record["steps_to_80_never_baseline"]) == (None, 2)


def test_steps_are_counted_to_the_expert_that_a_run_itself_imitated(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1000.0], expert=1000.0)
    make_runs(tmp_path, "gail", [1000.0, 1000.0], ",expert.seed=1", expert=4000.0)
    make_runs(tmp_path, "gailfe", [1000.0, 1000.0], ",expert.seed=1", expert=4000.0)
    save_curves(load_curves(tmp_path), tmp_path / "results")
    record = records(tmp_path / "results")["gailfe (expert.seed=1)"]
    assert (record["expert_return"], record["percent_of_expert_algo"]) == (4000.0, 25.0)
    assert record["steps_to_80_algo"] is None


@pytest.mark.parametrize("expert", [None, -100.0])
def test_without_an_experts_return_above_zero_there_are_no_steps_to_it(tmp_path, expert):
    make_runs(tmp_path, "gail", [1.0, 2.0], expert=expert)
    make_runs(tmp_path, "gailfe", [1.0, 2.0], expert=expert)
    record = records(tmp_path)["gailfe"]
    assert (
        record["steps_to_80_algo"] is record["steps_to_80_never_algo"] is record["percent_of_expert_algo"] is None
    )
    assert record["auc_algo"] == 1.125


def test_a_single_common_evaluation_gives_no_area(tmp_path):
    for seed in (0, 1):
        make_run(tmp_path, algo="gail", seed=seed, evaluated={2: 100.0})
        make_run(tmp_path, algo="gailfe", seed=seed, evaluated={2: 100.0})
    text, (record,) = summarise([tmp_path], "gail")
    assert record["auc_algo"] is record["auc_difference_ci95"] is record["probability_of_improvement"] is None
    assert "cannot be compared" in text
    json.dumps(record, allow_nan=False)


def test_all_environments_together_are_in_percent_of_each_expert(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1000.0], env="hopper", expert=1000.0)
    make_runs(tmp_path, "gail", [1000.0, 1000.0], env="ant", expert=3000.0)
    text, found = summarise([tmp_path], "gail")
    assert found == []
    # 75% and 25%; seeds are drawn anew within an environment, where they are all alike.
    assert "50.0 [50.0, 50.0]" in text
    assert "Nothing is compared" in text


def test_unknown_baseline_is_refused_with_what_there_is(tmp_path, capsys):
    make_runs(tmp_path, "gailfe", [1.0, 2.0])
    assert main([f"runs={tmp_path}", "baseline=gial"]) == 1
    assert "baseline=gial" in (error := capsys.readouterr().err)
    assert "valid: gailfe" in error
    assert main(["runs=absent"]) == 1
    assert main(["run=x"]) == 2
