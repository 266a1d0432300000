"""What a sweep checks and arranges before its first job starts."""

import json

import hydra
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from gailfe.study import sweep_arguments
from gailfe.sweep import SweepReport, _jobs
from hydra_plugins.gailfe_sweeper import JobsSweeper


def started(tmp_path, *overrides, report=None, **launcher):
    """The config of a sweep after its start was announced."""
    sweeper = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
    config = OmegaConf.create(
        {
            "hydra": {
                "sweeper": {"_target_": sweeper, "params": {"seed": "0,1"}},
                "launcher": {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher", **launcher},
                "overrides": {"task": list(overrides)},
                "job": {"name": "run", "config_name": "config"},
                "sweep": {"dir": str(tmp_path)},
            },
            "paths": {"runs": "runs", "artifacts": "artifacts"},
        }
    )
    with hydra.initialize_config_module("conf", version_base="1.3"):
        (report or SweepReport()).on_multirun_start(config)
    return config


def test_first_jobs_want_different_experts(tmp_path):
    config = started(tmp_path, "env=hopper,ant", "algo=gail,gailfe")
    with hydra.initialize_config_module("conf", version_base="1.3"):
        assert [job[-1] for job in _jobs(config)] == ["env=hopper", "env=ant"] * 4


def test_sweep_leaves_a_list_of_its_jobs_that_later_sweeps_extend(tmp_path):
    started(tmp_path, "env=hopper", "algo=gail")
    started(tmp_path, "env=hopper", "algo=gailfe", "seed=5", "tracking=none")
    assert json.loads((tmp_path / "jobs.json").read_text()) == {
        "hopper/gail/seed=0": {"env": "hopper", "algo": "gail", "seed": 0},
        "hopper/gail/seed=1": {"env": "hopper", "algo": "gail", "seed": 1},
        "hopper/gailfe/seed=5": {"env": "hopper", "algo": "gailfe", "seed": 5},
    }


def test_a_key_that_one_algorithm_lacks_is_left_out_there_and_the_same_job_runs_once(tmp_path, caplog):
    caplog.set_level("INFO")
    config = started(tmp_path, "env=hopper", "algo=gail,gailfe", "algo.failures.window=null,50")
    settings = [
        "gail/seed={}",
        "gailfe/seed={},algo.failures.window=null",
        "gailfe/seed={},algo.failures.window=50",
    ]
    names = [f"hopper/{setting.format(seed)}" for seed in (0, 1) for setting in settings]
    assert list(json.loads((tmp_path / "jobs.json").read_text())) == names
    assert "algo=gail has no algo.failures.window: it is left out there" in caplog.text
    assert "8 combinations are 6 different jobs" in caplog.text
    assert config.hydra.sweeper._target_ == f"{JobsSweeper.__module__}.{JobsSweeper.__name__}"
    parsed = OverridesParser.create().parse_overrides(sweep_arguments(config))
    with hydra.initialize_config_module("conf", version_base="1.3"):
        (jobs,) = JobsSweeper.split_arguments(parsed, None)  # what Hydra will run
    assert [len(job) for job in jobs] == [3, 4, 4] * 2  # in the order of the names


@pytest.mark.parametrize("content", [b"", b"[1]", b'{"hopper/gail', bytes(range(256))])
def test_a_damaged_list_of_jobs_is_written_anew(tmp_path, caplog, content):
    (tmp_path / "jobs.json").write_bytes(content)
    started(tmp_path, "env=hopper", "algo=gail")
    assert list(json.loads((tmp_path / "jobs.json").read_text())) == ["hopper/gail/seed=0", "hopper/gail/seed=1"]
    assert "jobs.json can't be read" in caplog.text


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("algo.gamma=0.9,1.1", "algo.gamma=1.1 must be between 0 and 1"),
        ("env=hopper,nowhere", "nowhere"),
        ("algo=gail algo.failures.z_f=-1", r"algo\.failures\.z_f=-1: algo=gail has no key algo\.failures\.z_f"),
        ("algo=gail,bc algo.failures.z_f=-1", r"algo\.failures\.z_f=-1: algo=gail has no key"),
        ("env=hoper,ant", r"^error: env=hoper: .*did you mean hopper\?\n  in the job seed=0 env=hoper$"),
        ("algo.gama=0.9,0.8", r"algo\.gama=0\.9: .*did you mean algo\.gamma\?"),
        ("tracking=none,wandb", "share the folder hopper/gailfe/seed=0"),
    ],
)
def test_one_bad_job_refuses_the_whole_sweep(tmp_path, override, named):
    with pytest.raises(SystemExit, match=f"(?s){named}"):
        started(tmp_path, *override.split())
    assert not (tmp_path / "jobs.json").exists()


def test_no_job_at_a_time_is_refused_by_key(tmp_path):
    with pytest.raises(SystemExit, match=r"^error: hydra\.launcher\.n_jobs=0 must be .* at least 1, or -1"):
        started(tmp_path, "seed=0,1", n_jobs=0)


def test_jobs_that_ran_in_another_working_directory_are_not_called_done(tmp_path):
    report = SweepReport()
    config = started(tmp_path, "env=hopper", "algo=gail", report=report)
    (tmp_path / "hopper/gail/seed=0").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"1 of 2 jobs left nothing.*paths\.runs=runs.*absolute"):
        report.on_multirun_end(config)
