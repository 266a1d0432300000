"""The pipeline through its command line, on real MuJoCo: sweeps, refusals, failures, kills and resumes."""

import json
import signal
from pathlib import Path

import pandas as pd
import pytest
from commands import run, start, wait_for

TIMINGS = ["wall_time_s", "steps_per_s"]


def run_folders(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob("runs/**/metrics.csv"))


def metrics(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "metrics.csv").drop(columns=TIMINGS)


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A finished sweep of four jobs: its folder and what it printed."""
    folder = tmp_path_factory.mktemp("sweep")
    code, output = run("gailfe.run", folder, "-m", "algo=gail,gailfe", "seed=0,1")
    assert code == 0, output
    return folder, output


def test_sweep_trains_every_job_and_draws_the_figure(sweep):
    folder, output = sweep
    assert [path.relative_to(folder / "runs/tiny/halfcheetah").parts[0] for path in run_folders(folder)] == [
        "gail",
        "gail",
        "gailfe",
        "gailfe",
    ]
    for path in run_folders(folder):
        table = pd.read_csv(path / "metrics.csv")
        assert table["iteration"].tolist() == [1, 2, 3, 4, 5, 6]
        assert table["env_steps"].tolist() == [128 * i for i in range(1, 7)]
        assert table["eval_return_mean"].notna().tolist() == [True, False, True, False, False, True]
        assert table["lambda_f"].notna().all() == ("gailfe" in path.parts)
        assert list(path.glob("wandb/offline-run-*/*.wandb"))
        assert {"config.yaml", "expert.json", "policy.safetensors"} <= {p.name for p in path.iterdir()}
    assert (folder / "runs/tiny/figure1.png").stat().st_size > 0
    assert "all 4 jobs are done" in output


def test_sweep_makes_the_shared_artefacts_once(sweep):
    folder, _ = sweep
    for kind in ("experts", "demonstrations"):
        made = [path for path in (folder / "artifacts" / kind).iterdir() if path.is_dir()]
        assert len(made) == 1
        logs = "".join(path.read_text() for path in folder.glob("runs/**/run.log"))
        assert logs.count(f"{kind}: made") == 1
        assert logs.count(f"{kind}: found") == 3


def test_seeds_differ_and_algorithms_agree_while_nothing_has_failed(sweep):
    folder, _ = sweep
    gail, other_seed, gailfe, _ = (metrics(path) for path in run_folders(folder))
    assert gail["kl"].tolist() != other_seed["kl"].tolist()
    assert gailfe["failed_episodes"].sum() == 0
    own = ["lambda_f", "failed_episodes", "failure_buffer_trajectories"]
    pd.testing.assert_frame_equal(gail.drop(columns=own), gailfe.drop(columns=own), check_exact=True)


def test_finished_runs_are_skipped_and_say_so(sweep):
    folder, _ = sweep
    before = {path: (path / "metrics.csv").stat().st_mtime_ns for path in run_folders(folder)}
    code, output = run("gailfe.run", folder, "-m", "algo=gail,gailfe", "seed=0,1", "hydra.launcher.n_jobs=1")
    assert code == 0, output
    assert output.count("is finished: skipped") == 4
    assert before == {path: (path / "metrics.csv").stat().st_mtime_ns for path in run_folders(folder)}


def test_failed_job_is_named_and_the_others_finish(sweep):
    folder, _ = sweep
    spoilt, intact = (folder / f"fails/tiny/halfcheetah/gail/seed={seed}" for seed in (0, 1))
    spoilt.mkdir(parents=True)
    (spoilt / "recipe.json").write_text('{"seed": 99}')
    code, output = run("gailfe.run", folder, "-m", "algo=gail", "seed=0,1", "tracking=none", runs="fails")
    assert code == 1
    assert "1 of 2 jobs failed" in output
    assert str(spoilt) in output.split("1 of 2 jobs failed")[1]
    assert "seed was 99, now 0" in (spoilt / "failure.txt").read_text()
    assert (intact / "summary.json").exists()


def test_same_seed_gives_the_same_numbers_in_another_folder(sweep, tmp_path):
    folder, _ = sweep
    code, output = run("gailfe.run", tmp_path, "algo=gailfe", "seed=1", "tracking=none")
    assert code == 0, output
    (again,) = run_folders(tmp_path)
    pd.testing.assert_frame_equal(metrics(again), metrics(run_folders(folder)[3]), check_exact=True)


def test_killed_run_resumes_to_the_same_metrics(sweep):
    folder, _ = sweep
    budget = ["algo=gailfe", "seed=0", "tracking=none", "env.num_iterations=12"]
    third = (3, signal.SIGKILL)  # checkpoint; there is one every 2 iterations
    code, output = run("gailfe.run", folder, *budget, runs="killed", signal_at=third)
    assert code == -signal.SIGKILL, output
    (run_folder,) = (path.parent for path in folder.glob("killed/**/metrics.csv"))
    assert len(metrics(run_folder)) == 6  # of which the last two come after the checkpoint that is left
    assert not (run_folder / "summary.json").exists()
    assert len(list(run_folder.glob("checkpoint/*"))) == 3  # the last two, and the one that was being written
    code, output = run("gailfe.run", folder, *budget, runs="killed")
    assert code == 0, output
    assert "after iteration 4" in output
    assert sorted(path.name for path in run_folder.glob("checkpoint/*")) == ["state.pt", "state_before.pt"]
    code, _ = run("gailfe.run", folder, *budget, runs="whole")
    assert code == 0
    (uninterrupted,) = folder.glob("whole/**/metrics.csv")
    pd.testing.assert_frame_equal(metrics(run_folder), metrics(uninterrupted.parent), check_exact=True)


def test_killed_expert_resumes_to_the_same_policy_and_curve(tmp_path):
    longer, names = ["env.ppo.total_steps=2048"], ("killed", "whole")
    code, output = run("expert.train", tmp_path / "killed", *longer, signal_at=(3, signal.SIGKILL))
    assert code == -signal.SIGKILL, output
    for name in names:
        code, output = run("expert.train", tmp_path / name, *longer)
        assert code == 0, output
        assert ("resumed after" in output) == (name == "killed")
    experts = [next((tmp_path / name).glob("artifacts/experts/*/curve.csv")).parent for name in names]
    killed, whole = ((expert / "policy.safetensors").read_bytes() for expert in experts)
    assert killed == whole
    curves = [pd.read_csv(expert / "curve.csv") for expert in experts]
    resumed, uninterrupted = (curve.drop(columns=TIMINGS) for curve in curves)
    pd.testing.assert_frame_equal(resumed, uninterrupted, check_exact=True)
    for curve in curves:  # the resumed one goes on counting where its checkpoint stood
        learning = curve["env_steps"].diff() / curve["steps_per_s"]
        assert (curve["wall_time_s"].diff()[1:] >= learning[1:]).all()


def test_two_processes_do_not_share_a_run_folder(sweep):
    folder, _ = sweep
    arguments = ["algo=gail", "seed=0", "tracking=none", "env.num_iterations=100000"]
    first = start("gailfe.run", folder, *arguments, runs="busy")
    wait_for(first, lambda: list(folder.glob("busy/**/metrics.csv")))
    code, output = run("gailfe.run", folder, *arguments, runs="busy")
    first.kill()
    first.communicate()
    assert code == 1
    assert f"another process is at work there, process {first.pid} on " in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("arguments", "named"),
    [  # one of each kind: all that may be wrong with a value is in test_config.py
        (["algo=gailfe", "algo.failures.z_f=0.5"], ["algo.failures.z_f=0.5", "at most 0"]),
        (["algo.gama=0.9"], ["gama"]),
        (["env=hoper"], ["hoper", "hopper"]),
        (["env.id=Hoper-v5"], ["env.id=Hoper-v5"]),
        (["tracking.mode=online"], ["tracking.mode=online", "wandb login"]),
        (["-m", "algo=gailfe", "algo.failures.z_f=-1,0.5"], ["algo.failures.z_f=0.5", "at most 0"]),
    ],
)
def test_bad_configuration_is_refused_before_any_work(arguments, named, tmp_path):
    code, output = run("gailfe.run", tmp_path, *arguments)
    assert code != 0
    for words in named:
        assert words in output
    assert "Traceback" not in output
    assert not (tmp_path / "artifacts").exists()
    assert not run_folders(tmp_path)


def test_evaluate_ends_with_one_line_of_json(sweep):
    folder, _ = sweep
    code, output = run("expert.evaluate", folder, "episodes=3")
    assert code == 0, output
    record = json.loads(output.strip().splitlines()[-1])
    assert record["env"] == "HalfCheetah-v5"
    assert record["episodes"] == 3
    assert record["length_mean"] == 40
    assert set(record) == {"env", "episodes", "return_mean", "return_std", "length_mean", "failures"}
