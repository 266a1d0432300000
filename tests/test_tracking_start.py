"""W&B: how a run is named there, and what is refused before it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from algorithms import DEMONSTRATIONS, small_run
from helpers import compose, fell
from run_folders import write_hydras

import gailfe.reporting
from gailfe.algorithms.imitation import Imitator
from gailfe.config.keys import Refusal
from gailfe.config.schema import Config
from gailfe.storage.recipe import run_recipe
from gailfe.storage.wandb_artifacts import Input
from gailfe.storage.wandb_run import Sections, group_of, start_wandb, summary_of
from gailfe.training import train

ROOT = Path(__file__).parents[1]


pytestmark = pytest.mark.usefixtures("no_server")


def test_a_summary_without_an_expert_or_an_evaluation_leaves_out_what_is_not_known() -> None:
    assert summary_of([{"iteration": 1, "env_steps": 64}], None) == {}
    low, high = ({"iteration": i, "env_steps": 64 * i, "eval_return_mean": r} for i, r in ((1, -5.0), (2, -9.0)))
    found = summary_of([low, high], None)
    assert (found["best/iteration"], found["final/iteration"]) == (1, 2)
    assert "final/percent_of_expert" not in found | summary_of([low, high], -3.0)  # of a negative return


def test_a_run_keeps_its_wandb_id_and_no_two_runs_share_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids: list[str] = []

    def start(config: Config, folder: Path, run_id: str, sections: Sections) -> None:
        ids.append(run_id)

    monkeypatch.setattr(gailfe.reporting, "start_wandb", start)
    for folder, overrides in (("a", []), ("a", []), ("b", ["seed=1"]), ("c", [])):
        (tmp_path / folder).mkdir(exist_ok=True)
        config = small_run("bc", "env.num_iterations=1", *overrides)
        config.study = "mine" if folder == "c" else config.study
        train(config, tmp_path / folder, DEMONSTRATIONS, fell, run_recipe(config, "key"))
    assert ids[0] == ids[1]  # the same command in the same folder goes on
    assert len(set(ids)) == 3


def test_runs_of_one_group_differ_by_their_seed_alone() -> None:
    config = compose("algo=gail", "env=hopper")
    assert group_of(config, Path("seed=3")) == "figure1/hopper/gail"
    assert group_of(config, Path("seed=3,algo.gamma=0.9")) == "figure1/hopper/gail/algo.gamma=0.9"
    assert group_of(config, Path("my_run")) == "figure1/hopper/gail"
    long = [group_of(config, Path(f"seed=0,algo.gamma=0.9{'9' * 150}{end}")) for end in "12"]
    assert long[0] != long[1]
    assert max(map(len, long)) <= 128


def test_runs_whose_folders_names_are_cut_have_a_group_without_their_seed(tmp_path: Path) -> None:
    config, groups = compose("algo=gail", "env=hopper"), set()
    for seed in (0, 1):
        folder = tmp_path / f"seed={seed},algo.gamma=0.9,more={seed}abc"
        folder.mkdir()
        write_hydras(folder, [f"seed={seed}", "algo.gamma=0.9", "algo.gae_lambda=0.9"], None)
        groups.add(group_of(config, folder))
    assert groups == {"figure1/hopper/gail/algo.gae_lambda=0.9,algo.gamma=0.9"}


def test_long_names_are_cut_where_wandb_wants_short_tags(tmp_path: Path) -> None:
    config = compose("algo=gail", "env=hopper", f"study={'s' * 100}", "tracking=wandb")
    run = start_wandb(config, tmp_path, "0" * 16, Sections({}))
    run.finish()
    assert set(run.tags) == {"s" * 64, "figure1", "hopper", "gail"}


def test_what_wandb_refuses_ends_in_a_sentence_that_says_how_to_go_on_without_it(tmp_path: Path) -> None:
    config = compose("algo=gail", "env=hopper", "tracking=wandb")
    config.tracking.project = "a/b"
    with pytest.raises(Refusal, match=r"Invalid project name 'a/b'.*With tracking=none"):
        start_wandb(config, tmp_path, "0" * 16, Sections({}))


def test_wandb_takes_the_name_of_an_artifact_of_any_environment() -> None:
    import wandb

    name = Input("expert", "0" * 64, Path(), []).name("läufer" + "x" * 90)
    assert wandb.Artifact(name, "expert").name == name


def test_samples_are_d_as_it_is_now_and_draw_no_random_number() -> None:
    config = small_run("gailfe")
    learner = Imitator(config.algo, config.env, DEMONSTRATIONS, fell, 0)
    assert "d_policy" not in learner.samples()  # nothing has been done yet
    learner.iterate()
    before = learner.generator.get_state()
    samples = learner.samples()
    assert (learner.generator.get_state() == before).all()
    assert {name: len(values) for name, values in samples.items()} == {
        "d_policy": 64,
        "d_expert": 120,
        "d_failed": learner.failed.buffer.num_pairs if learner.failed else 0,
    }
    logits = learner.discriminator(learner._normalize(learner.expert_pairs)).detach().numpy()
    np.testing.assert_allclose(samples["d_expert"], 1 / (1 + np.exp(-logits)), rtol=1e-5)


def test_without_wandb_nothing_is_started(tmp_path: Path) -> None:
    config = small_run("gail")
    assert start_wandb(config, tmp_path, "id", Sections({})) is None
    assert list(tmp_path.iterdir()) == []


CHECK = """
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config, TrackingConfig
from gailfe.storage.wandb_run import check_tracking

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
