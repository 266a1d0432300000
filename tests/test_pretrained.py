"""Experts that come with the package, and the command that puts them there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import hydra
import pytest

from expert.experts import expert_of, make_expert
from expert.pretrained import PRETRAINED
from expert.publish import publish
from gailfe.config.checks import parse
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.storage.names import EVALUATION, MANIFEST
from gailfe.storage.store import Store, verify

ENVS = sorted(path.parent.name for path in PRETRAINED.glob(f"*/{MANIFEST}"))


def compose(*overrides: str) -> Config:
    with hydra.initialize_config_module("conf", version_base="1.3"):
        return parse(hydra.compose("config", ["expert=pretrained", *overrides]))


@pytest.mark.parametrize("env", ENVS)
def test_expert_of_the_package_is_what_its_card_says(env: str, tmp_path: Path) -> None:
    folder = make_expert(compose(f"env={env}"), Store(tmp_path))
    manifest = verify(folder)
    weights = folder / "policy.safetensors"
    assert weights.stat().st_size < 1_000_000
    evaluation = json.loads((folder / EVALUATION).read_text())
    assert evaluation["episodes"] >= 100
    assert (
        f"| {evaluation['episodes']} | {evaluation['eval_return_mean']:.0f} " in (folder / "README.md").read_text()
    )
    assert manifest["recipe"]["env"]["id"] == compose(f"env={env}").env.id


def test_evaluating_a_published_expert_gives_the_numbers_of_its_card(tmp_path: Path) -> None:
    folder = PRETRAINED / ENVS[0]
    published = json.loads((folder / EVALUATION).read_text())
    command = [sys.executable, "-m", "expert.evaluate", "expert=pretrained", f"env={ENVS[0]}"]
    command += [f"episodes={published['episodes']}", f"paths.artifacts={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    record = json.loads(done.stdout.splitlines()[-1])
    # Physics may differ in the last bits from processor to processor, and a gait amplifies that.
    assert record["return_mean"] == pytest.approx(published["eval_return_mean"], rel=0.1)


def test_expert_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=rf"env=pendulum .*{ENVS[0]}"):
        expert_of(compose("env=pendulum")).recipe()


def test_changed_weights_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(PRETRAINED / ENVS[0], folder)
    config = compose(f"env={ENVS[0]}", f"expert.folder={folder}")
    expert_of(config).recipe()
    (folder / "policy.safetensors").write_bytes(b"something else")
    with pytest.raises(ConfigError, match=r"policy\.safetensors"):
        expert_of(config).recipe()


@pytest.mark.parametrize("env", ["ant", "hopper"])  # without and with evaluated checkpoints
def test_publishing_evaluates_anew_and_leaves_a_whole_artefact(env: str, tmp_path: Path) -> None:
    config = compose(f"env={env}", "episodes=2", "env.max_episode_steps=20")
    publish(config, PRETRAINED / env, tmp_path / "published")
    verify(tmp_path / "published")
    assert json.loads((tmp_path / "published" / EVALUATION).read_text())["episodes"] == 2
    card = (tmp_path / "published" / "README.md").read_text()
    assert "| 2 |" in card
    assert ("weaker policies" in card) == (tmp_path / "published" / "checkpoints").exists() == (env == "hopper")
