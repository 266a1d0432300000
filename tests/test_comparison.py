"""Which runs `python -m analysis.summary` compares with which, what it pairs, and what it can't compare."""

import json

import pandas as pd
import pytest
from run_folders import STEPS, make_runs, records

from analysis.comparison import partner
from analysis.summary import summarise


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
