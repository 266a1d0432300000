"""W&B: it gets the rows of metrics.csv, without a network or a question."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from helpers import PENDULUM, compose, make_algo, make_trajectory

import gailfe.training
from gailfe.config.schema import Config, EvaluationConfig
from gailfe.envs.trajectory import Demonstrations
from gailfe.recipe import run_recipe
from gailfe.storage.tracking import read_rows, start_wandb

ROOT = Path(__file__).parents[1]


def make_config(experiment: str = "study") -> Config:
    return dataclasses.replace(
        compose(),
        experiment=experiment,
        env=dataclasses.replace(PENDULUM, max_episode_steps=16, num_iterations=3),
        algo=make_algo(),
        evaluation=EvaluationConfig(every=2, episodes=1),
    )


def train(config: Config, folder: Path) -> MagicMock:
    """Train with a stand-in for `start_wandb`, and return it."""
    start = MagicMock()
    folder.mkdir(exist_ok=True)
    expert = [make_trajectory(16, dims=(3, 1), terminated=False)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gailfe.training, "start_wandb", start)
        recipe = run_recipe(config, "key")
        gailfe.training.train(config, folder, Demonstrations(expert, []), lambda t: False, recipe)
    return start


def test_wandb_receives_the_rows_of_the_file(tmp_path: Path) -> None:
    run = train(make_config(), tmp_path).return_value
    written = read_rows(tmp_path / "metrics.csv")
    assert [call.args[0] for call in run.log.call_args_list] == written
    assert [row["env_steps"] for row in written] == [128, 256, 384]
    assert all("eval_return_mean" in row for row in written)  # 1st, every 2nd, last
    assert not any({"lambda_f", "d_failed"} & row.keys() for row in written)  # GAIL has none
    run.finish.assert_called_once_with()


def test_a_run_keeps_its_wandb_id_and_no_two_runs_share_one(tmp_path: Path) -> None:
    def wandb_id(folder: str, experiment: str = "study", seed: int = 0) -> str:
        config = make_config(experiment)
        config.seed = seed
        return train(config, tmp_path / folder).call_args.args[2]

    first = wandb_id("first")
    assert wandb_id("first") == first  # the same command in the same folder goes on
    assert wandb_id("seed", seed=1) != first
    assert wandb_id("experiment", experiment="another") != first


def wandb_records(path: Path) -> Iterator[Any]:
    """The protobuf records of an offline run: a LevelDB log in blocks of 32 KiB, after 7 bytes of magic."""
    from wandb.proto import wandb_internal_pb2

    messages: Any = wandb_internal_pb2  # made when it is imported: no type checker sees what is in it
    data, position, parts = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        if (left := 32768 - position % 32768) < 7:  # no room for another header in this block
            position += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield messages.Record.FromString(parts)
            parts = b""


def test_an_offline_run_is_a_file_that_holds_the_config_and_the_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody answers there
    config, folder = make_config(), tmp_path / "seed=0"
    folder.mkdir()
    run = start_wandb(config, folder, "0123456789abcdef")
    for step in (1, 2):
        run.log({"iteration": step, "env_steps": 128 * step, "return_mean": -0.5 * step})
    run.finish()
    (path,) = folder.glob("wandb/offline-run-*/*.wandb")
    deadline = time.monotonic() + 300  # W&B's own process may still be writing when `finish` returns
    while not any(r.HasField("exit") for r in wandb_records(path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    records = list(wandb_records(path))
    (started,) = [record.run for record in records if record.HasField("run")]
    assert (started.run_id, started.project) == ("0123456789abcdef", "gailfe")
    assert (started.run_group, started.job_type) == ("pendulum/gail", "gail")
    assert started.display_name == "pendulum/gail/seed=0"
    assert sorted(started.tags) == ["gail", "pendulum", "study"]
    saved = {item.key: json.loads(item.value_json) for item in started.config.update}
    assert {key: saved[key] for key in ("seed", "env", "algo")} == json.loads(
        json.dumps({"seed": 0, "env": dataclasses.asdict(config.env), "algo": dataclasses.asdict(config.algo)})
    )
    items = [{"".join(i.nested_key) or i.key: i.value_json for i in r.history.item} for r in records]
    history = [row for row in items if "env_steps" in row]
    assert [json.loads(row["return_mean"]) for row in history] == [-0.5, -1.0]
    axes = {record.metric.glob_name: record.metric.step_metric for record in records if record.HasField("metric")}
    assert axes["*"] == "env_steps"


def test_without_wandb_nothing_is_started(tmp_path: Path) -> None:
    config = make_config()
    config.tracking.wandb = False
    assert start_wandb(config, tmp_path, "id") is None
    assert list(tmp_path.iterdir()) == []


CHECK = """
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config, TrackingConfig
from gailfe.storage.tracking import check_tracking

for mode in ("offline", "online"):
    try:
        check_tracking(Config(tracking=TrackingConfig(wandb=True, mode=mode)))
        print(mode, "accepted")
    except ConfigError as error:
        print(mode, "refused", error)
"""


def check_in_a_process_of_its_own(home: Path, **environment: str) -> tuple[list[str], str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    clean |= {"HOME": str(home), "NETRC": str(home / "netrc"), "XDG_CONFIG_HOME": str(home)}
    clean |= {"PYTHONPATH": str(ROOT), "WANDB_BASE_URL": "http://127.0.0.1:9"}  # nobody answers there
    process = subprocess.run(
        [sys.executable, "-c", CHECK],
        cwd=home,
        env={**clean, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return process.stdout.splitlines(), process.stderr


def test_online_tracking_without_a_key_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (offline, online), noise = check_in_a_process_of_its_own(tmp_path)
    assert offline == "offline accepted"
    assert online.startswith("online refused tracking.mode=online needs a W&B API key")
    assert "WANDB_API_KEY" in online
    assert "tracking.mode=offline" in online
    assert "deprecated" not in noise, noise


def test_online_tracking_with_a_key_is_accepted_without_asking_anybody(tmp_path: Path) -> None:
    lines, noise = check_in_a_process_of_its_own(tmp_path, WANDB_API_KEY="0" * 40)
    assert lines == ["offline accepted", "online accepted"]
    assert "deprecated" not in noise, noise
