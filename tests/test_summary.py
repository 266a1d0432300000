"""`python -m analysis.summary`: the statistics of a sweep, recomputed by hand and with plain pandas."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from run_folders import make_run

from analysis.comparison import partner
from analysis.curves import load_curves, save_curves
from analysis.runs import RunsError
from analysis.summary import main, summarise

COMMITTED = Path(__file__).parents[1] / "results" / "figure1" / "curves.parquet"
STEPS = 1024  # environment steps an iteration, in make_run


def make_runs(
    root: Path, algo: str, finals: list[float], others: str = "", first_seed: int = 0, **keys
) -> list[Path]:
    """Folders of runs that return `final / 2` at iteration 2 and `final` at 4, a seed for each of `finals`."""
    return [
        make_run(
            root,
            algo=algo,
            seed=seed,
            evaluated={2: final / 2, 4: final},
            folder_name=f"seed={seed}{others}",
            **keys,
        )
        for seed, final in enumerate(finals, first_seed)
    ]


def records(root: Path, baseline: str = "gail") -> dict[str, dict]:
    """The JSON records by the label of the algorithm."""
    return {record["algo"]: record for record in summarise([root], baseline)[1]}


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


def test_same_seeds_are_paired_and_others_are_not(tmp_path):
    make_runs(tmp_path, "gail", [100.0, 900.0, 1700.0])
    make_runs(tmp_path, "gailfe", [110.0, 911.0, 1709.0])
    make_runs(tmp_path, "bc", [110.0, 911.0, 1709.0], first_seed=100)
    found = records(tmp_path)
    assert (found["gailfe"]["paired"], found["gailfe"]["verdict"]) == (True, "faster")
    assert (found["bc"]["paired"], found["bc"]["verdict"]) == (False, "undecided")


def test_seeds_that_are_shared_in_part_are_not_called_other_seeds(tmp_path):
    make_runs(tmp_path, "gail", [100.0, 900.0, 1700.0])
    make_runs(tmp_path, "gailfe", [110.0, 911.0])
    text, (record,) = summarise([tmp_path], "gail")
    assert not record["paired"]
    assert "GAILFE against GAIL (unpaired: not the same seeds)" in text


@pytest.mark.parametrize(
    ("finals", "told", "median"),
    [
        ([500.0, 500.0, 500.0], "never (3 of 3)", None),
        ([2000.0, 2000.0, 500.0], "4,096 (1 of 3 never)", 4 * STEPS),
    ],
)
def test_a_run_that_stopped_early_will_never_reach_what_it_has_not(tmp_path, finals, told, median):
    make_runs(tmp_path, "gail", [2000.0, 2000.0, 2000.0])
    for folder in make_runs(tmp_path, "gailfe", finals):
        (folder / "summary.json").write_text(json.dumps({"iterations": 4, "stopped_early": True}))
    text, (record,) = summarise([tmp_path], "gail")
    assert told in text
    assert (record["steps_to_80_algo"], record["steps_to_80_more_than_algo"]) == (median, None)
    assert [run["stopped_early"] for run in record["runs_algo"]] == [True, True, True]
    json.dumps(record, allow_nan=False)


def test_an_algorithm_without_steps_in_the_environment_is_not_called_faster(tmp_path):
    make_runs(tmp_path, "gail", [100.0, 110.0, 120.0])
    for folder in make_runs(tmp_path, "bc", [1000.0, 1010.0, 1020.0]):
        rows = pd.read_csv(folder / "metrics.csv").assign(env_steps=0)
        rows.to_csv(folder / "metrics.csv", index=False)
    text, (record,) = summarise([tmp_path], "gail")
    assert record["auc_difference_ci95"][0] > 0
    assert record["verdict"] == "incomparable"
    assert "Neither is called faster: one of them takes no steps in the environment." in text


def test_a_task_without_the_baseline_says_so(tmp_path):
    make_runs(tmp_path, "gail", [1000.0, 1100.0])
    mixed = ",demonstrations.contamination=0.1"
    make_runs(tmp_path, "gailfe", [900.0, 1000.0], f",algo.failures.rule=fixed{mixed}")
    make_runs(tmp_path, "gailfe", [900.0, 1000.0], f",algo.failures.rule=dual{mixed}")
    text, found = summarise([tmp_path], "gail")
    assert found == []
    assert "there is no run of baseline=gail on this task" in text
    assert "there is no other algorithm beside baseline=gail on this task" in text


def test_each_algorithm_meets_the_baseline_on_its_own_demonstrations(tmp_path):
    clean, mixed = ",demonstrations.contamination=0", ",demonstrations.contamination=0.25"
    make_runs(tmp_path, "gail", [1000.0, 1100.0], clean)
    make_runs(tmp_path, "gail", [400.0, 500.0], mixed)
    make_runs(tmp_path, "gailfe", [900.0, 1000.0], f",algo.failures.rule=fixed{mixed}")
    make_runs(tmp_path, "gailfe", [950.0, 1050.0], f",algo.failures.rule=fixed{clean}")
    found = {record["algo"]: record["baseline"] for record in summarise([tmp_path], "gail")[1]}
    assert found == {
        f"gailfe (algo.failures.rule=fixed, demonstrations.contamination={share})": (
            f"gail (demonstrations.contamination={share})"
        )
        for share in ("0", "0.25")
    }
    text = summarise([tmp_path], "gail")[0]
    assert "Hopper, contamination=0.25" in text
    assert text.count("All runs") == 0


def test_partner_is_the_baseline_with_the_most_overrides_in_common_and_no_others():
    labels = ["gail", "gail (algo.gamma=0.9)", "gailfe (algo.gamma=0.9, algo.z_f=-1)", "gail_2016", "gailfe_2016"]
    assert partner(labels[2], labels, "gail") == "gail (algo.gamma=0.9)"
    assert partner("gail (algo.gamma=0.9)", labels, "gail") == "gail"
    assert partner("gailfe_2016", labels, "gail") == "gail_2016"
    assert partner("gail_2016", labels, "gail") == "gail"
    assert partner("gail", labels, "gail") is None
    assert partner("gailfe (algo.z_f=-1)", ["gail (algo.gamma=0.9)"], "gail") is None
    assert partner("gail", labels, "gail (algo.gamma=0.9)") == "gail (algo.gamma=0.9)"


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
