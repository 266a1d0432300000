"""W&B: what a run tells it, read back from the offline files, without a network or a question."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import shutil
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from algorithms import DEMONSTRATIONS, Killed, rows, small_run, weights
from helpers import fell
from wandb_files import offline_runs, tracked

import gailfe.reporting
from expert.policy_video import PolicyFilm
from expert.rendering import CannotRender
from gailfe.algorithms.imitation import Imitator
from gailfe.config.schema import Config
from gailfe.envs.evaluation import Evaluator
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.pipeline import run as run_pipeline
from gailfe.storage.recipe import run_recipe
from gailfe.storage.tracking import read_rows
from gailfe.storage.wandb_run import Sections
from gailfe.training import train

ROOT = Path(__file__).parents[1]
NOT_NUMBERS = ("histogram", "video", "_")  # what of a row is no column of metrics.csv


pytestmark = pytest.mark.usefixtures("no_server")


def numbers(row: dict[str, Any]) -> dict[str, Any]:
    """A row's metrics under the names of metrics.csv."""
    kept = {key: value for key, value in row.items() if not any(part in key for part in NOT_NUMBERS[:2])}
    return {key.partition("/")[2] or key: value for key, value in kept.items() if key[0] != "_"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Path, Path]:
    """All stages with GAILFE on Hopper; killed after an evaluation that no checkpoint has, and gone on with."""
    folder = tmp_path_factory.mktemp("whole")
    config = tracked("gailfe", "expert=pretrained", "demonstrations.num_trajectories=2", "expert.eval_episodes=1")
    config.paths.artifacts = str(folder / "artifacts")
    run_folder = folder / "seed=0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        with patch.context() as inner:
            row = gailfe.reporting.Reporter.row

            def killed(self: gailfe.reporting.Reporter, of: dict[str, float]) -> None:
                row(self, of)
                if of["iteration"] == 3:
                    self._run.finish()  # W&B's own process outlives a kill, and writes what it has
                    raise Killed

            inner.setattr(gailfe.reporting.Reporter, "row", killed)
            with pytest.raises(Killed):
                run_pipeline(config, run_folder)
        run_pipeline(config, run_folder)
    return config, run_folder, folder / "artifacts"


def test_the_offline_files_of_a_killed_run_have_every_row_in_sections(
    whole: tuple[Config, Path, Path],
) -> None:
    config, folder, _ = whole
    first, second = offline_runs(folder)
    assert first.run.run_id == second.run.run_id
    assert (sorted(first.history), sorted(second.history)) == ([1, 2, 3], [3, 4, 5, 6])
    expert = json.loads((folder / "expert.json").read_text())["eval_return_mean"]
    sections = Sections(Imitator.SECTIONS)
    for row in read_rows(folder / "metrics.csv"):
        logged = (first.history | second.history)[int(row["iteration"])]
        assert numbers(logged) == row | {"expert": expert}  # of iteration 3, the row that was made again
        assert {sections.key(name) for name in row} <= logged.keys()
        assert logged["return/expert"] == expert
    named = ("return", "discriminator", "failures", "policy", "speed", "algorithm")
    assert set(second.step_metrics) == {"iteration", "env_steps", *(f"{name}/*" for name in named)}
    assert set(second.step_metrics.values()) == {"", "iteration"}
    saved = {key: second.config[key] for key in ("seed", "env", "algo")}
    wanted = {"seed": 0, "env": dataclasses.asdict(config.env), "algo": dataclasses.asdict(config.algo)}
    assert saved == json.loads(json.dumps(wanted))
    run = second.run
    assert (run.project, run.run_group, run.job_type) == ("gailfe", "figure1/hopper/gailfe", "gailfe")
    assert run.display_name == "hopper/gailfe/seed=0"
    assert sorted(run.tags) == ["figure1", "gailfe", "hopper"]


def test_every_evaluation_has_histograms_of_d_and_the_summary_has_best_final_and_expert(
    whole: tuple[Config, Path, Path],
) -> None:
    _, folder, _ = whole
    first, second = offline_runs(folder)
    history = first.history | second.history
    evaluated = [row for row in read_rows(folder / "metrics.csv") if "eval_return_mean" in row]
    for step, row in history.items():
        names = {key.partition("_histogram")[0] for key in row if "_histogram" in key}
        d = {"discriminator/d_policy", "discriminator/d_expert"}
        assert names - {"discriminator/d_failed"} == (d if step in (1, 3, 6) else set())
    bins = history[6]["discriminator/d_policy_histogram.bins"]
    counts = history[6]["discriminator/d_policy_histogram.values"]
    assert (bins[0], bins[-1], len(bins), sum(counts)) == (0, pytest.approx(1), 51, 64)
    best = max(evaluated, key=lambda row: row["eval_return_mean"])
    expert = history[1]["return/expert"]
    wanted = {
        "expert/return_mean": expert,
        "best/eval_return_mean": best["eval_return_mean"],
        "best/iteration": best["iteration"],
        "final/eval_return_mean": evaluated[-1]["eval_return_mean"],
        "final/percent_of_expert": 100 * evaluated[-1]["eval_return_mean"] / expert,
        "final/env_steps": 6 * 64,
    }
    assert {key: second.summary[key] for key in wanted} == wanted
    assert first.summary["final/iteration"] == 3  # a run that was killed has a summary, too


def test_artifacts_lead_from_the_expert_over_demonstrations_and_run_to_the_policy_and_are_logged_once(
    whole: tuple[Config, Path, Path],
) -> None:
    _, folder, artifacts = whole
    first, second = offline_runs(folder)
    (collection,) = offline_runs(artifacts)  # though two processes needed the demonstrations
    demonstrations_key = json.loads((folder / "recipe.json").read_text())["demonstrations_key"]
    names = {name.partition("-")[0]: name for name in second.artifacts}
    assert names.keys() == {"expert", "demonstrations", "policy"}
    assert names["demonstrations"] == f"demonstrations-hopper-{demonstrations_key[:12]}"
    used = {name: artifact.use_after_commit for name, artifact in second.artifacts.items()}
    assert used == {names["expert"]: True, names["demonstrations"]: True, names["policy"]: False}
    assert collection.run.job_type == "collect"
    assert {name: artifact.use_after_commit for name, artifact in collection.artifacts.items()} == {
        names["expert"]: True,
        names["demonstrations"]: False,
    }
    for name in (names["expert"], names["demonstrations"]):  # the same content, so the same version
        assert len({run.artifacts[name].digest for run in (first, second, collection)}) == 1
    assert names["policy"] not in first.artifacts
    for artifact in second.artifacts.values():
        assert artifact.type == artifact.name.partition("-")[0]
        for entry in artifact.manifest.contents:
            content = Path(entry.local_path).read_bytes()
            assert entry.digest == b64encode(hashlib.md5(content).digest()).decode()
    policy = second.artifacts[names["policy"]]
    assert sorted(policy.aliases) == ["iteration-6", "latest"]
    paths = {entry.path: Path(entry.local_path) for entry in policy.manifest.contents}
    assert paths.keys() == {"policy.safetensors", "policy.json", "config.yaml"}
    assert paths["policy.safetensors"].read_bytes() == weights(folder)
    assert paths["policy.safetensors"] != folder / "policy.safetensors"  # a copy: the run may go on


def test_of_what_is_too_large_w_and_b_gets_the_checksums(tmp_path: Path, whole: tuple[Config, Path, Path]) -> None:
    config, _, artifacts = whole
    config = dataclasses.replace(config, tracking=dataclasses.replace(config.tracking, artifact_mb=0.03))
    (demonstrations,) = (path for path in artifacts.glob("demonstrations/*") if path.is_dir())
    shutil.copytree(demonstrations, tmp_path / "data")
    from gailfe.storage import wandb_artifacts

    source = wandb_artifacts.demonstrations_input("k" * 64, tmp_path / "data", {})
    artifact = wandb_artifacts._artifact(config, source)
    assert list(artifact.manifest.entries) == ["checksums.txt"]
    assert artifact.metadata["files_uploaded"] is False
    lines = Path(artifact.manifest.entries["checksums.txt"].local_path).read_text().splitlines()
    assert len(lines) == len(source.files)
    digest, name = lines[0].split("  ")
    assert hashlib.sha256((tmp_path / "data" / name).read_bytes()).hexdigest() == digest


def test_tracking_changes_no_number_of_a_training(tmp_path: Path) -> None:
    folders = {name: tmp_path / name for name in ("none", "wandb")}
    filmed: list[str] = []

    def film(policy: StochasticPolicy, title: str, path: Path) -> bool:
        Evaluator(config.env, 1, 5)(policy)
        path.write_bytes(b"no real video")
        filmed.append(title)
        return True

    for name, folder in folders.items():
        folder.mkdir()
        config = small_run("gailfe", f"tracking={name}")
        train(config, folder, DEMONSTRATIONS, fell, run_recipe(config, "key"), film=film)
    assert filmed == [f"after {iteration} of 6 iterations" for iteration in (1, 3, 6)]
    assert rows(folders["none"]) == rows(folders["wandb"])
    assert weights(folders["none"]) == weights(folders["wandb"])
    assert not (folders["none"] / "wandb").exists()
    (run,) = offline_runs(folders["wandb"])
    videos = {step: row["policy/video.path"] for step, row in run.history.items() if "policy/video.path" in row}
    assert list(videos) == [1, 3, 6]
    for path in videos.values():
        (found,) = folders["wandb"].glob(f"wandb/offline-run-*/files/{path}")
        assert found.read_bytes() == b"no real video"
    assert not list(folders["wandb"].glob("wandb/offline-run-*/video.mp4"))
    sampled = run.history[6]["discriminator/d_failed_histogram.values"]
    assert sum(sampled) >= 50  # all pairs of the demonstrations' two failures, and the agent's own


def test_a_policy_is_filmed_where_rendering_works_and_where_it_does_not_the_log_says_why(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = small_run("gail"), tmp_path / "film.mp4"
    policy = GaussianPolicy.__new__(GaussianPolicy)  # nothing is done with it

    def cannot() -> None:
        raise CannotRender("videos need the extra `video`")

    monkeypatch.setattr("expert.policy_video.encoder", cannot)
    with caplog.at_level(logging.INFO):
        assert PolicyFilm(config.env)(policy, "title", path) is False
    assert "W&B gets no videos of the policy: videos need the extra `video`" in caplog.text
    assert not path.exists()
