"""`python -m gailfe.evaluate`: what a run has learned is there at every checkpoint, and serves as an expert."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from algorithms import run, run_killed_after, small_run, weights
from helpers import compose, gaussian
from omegaconf import OmegaConf

import gailfe
from expert.collect import make_demonstrations
from expert.demonstrations import load_demonstrations
from expert.experts import expert_of, make_expert
from gailfe.envs.evaluation import FRESH_SEED, Evaluator
from gailfe.evaluate import main
from gailfe.learned import load_learned
from gailfe.nn.policy_file import read_policy, save_policy, saved_iteration
from gailfe.storage.store import ArtifactError, Store

Captured = pytest.CaptureFixture[str]


def as_a_command_leaves_it(folder: Path) -> Path:
    """With the files that come from the stages before."""
    OmegaConf.save(OmegaConf.create(asdict(small_run("gail"))), folder / "config.yaml")
    (folder / "expert.json").write_text(json.dumps({"eval_return_mean": 50.0}))
    return folder


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A run of six iterations that was killed after the fifth; its last checkpoint is of the fourth."""
    return as_a_command_leaves_it(run_killed_after(5, small_run("gail"), tmp_path / "run"))


def test_the_policy_of_the_last_checkpoint_is_there_with_its_iteration(killed: Path, tmp_path: Path) -> None:
    assert not (killed / "summary.json").exists()
    assert saved_iteration(killed) == 4
    assert weights(killed) == weights(run(small_run("gail", "env.num_iterations=4"), tmp_path / "whole"))


def test_a_policy_can_be_read_without_its_environment(killed: Path) -> None:
    observations = np.random.default_rng(0).normal(size=(5, 11))
    alone, fitted = read_policy(killed), load_learned(killed).policy
    assert np.array_equal(alone.acting()(observations), fitted.acting()(observations))


def test_a_run_that_was_killed_is_evaluated_as_far_as_it_came(killed: Path, capsys: Captured) -> None:
    assert main([f"run={killed}", "episodes=3", "seed=2"]) == 0
    told, last = capsys.readouterr().out.splitlines()[-2:]
    record, learned = json.loads(last), load_learned(killed)
    again = Evaluator(learned.env, 3, FRESH_SEED + 2)(learned.policy)
    assert record == {
        "run": str(killed),
        "env": "Hopper-v5",
        "algo": "gail",
        "iteration": 4,
        "episodes": 3,
        "return_mean": again.returns.mean(),
        "return_std": again.returns.std(),
        "length_mean": again.lengths.mean(),
        "expert_return": 50.0,
    }
    assert "iteration 4 of 6" in told
    assert f"{again.returns.mean() / 50:.0%} of it" in told


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("config.yaml", "must be the folder of a run"),
        ("policy.safetensors", "the first one after 2 iterations"),
        ("policy.json", "policy.json can't be read"),
    ],
)
def test_what_a_run_lacks_is_named(missing: str, said: str, killed: Path, capsys: Captured) -> None:
    (killed / missing).unlink()
    assert main([f"run={killed}"]) == 1
    assert said in capsys.readouterr().err


Change = Callable[[bytes], bytes]
DAMAGES: dict[str, tuple[str, Change]] = {
    "a bit of the weights": (
        "policy.safetensors",
        lambda content: content[:-9] + bytes([content[-9] ^ 4]) + content[-8:],
    ),
    "weights cut": ("policy.safetensors", lambda content: content[:-9]),
    "another architecture": ("policy.json", lambda content: content.replace(b"tanh", b"relu")),
    "architecture is a list": ("policy.json", lambda content: b"[1]"),
    "architecture is null": ("policy.json", lambda content: b"null"),
    "architecture is no text": ("policy.json", lambda content: b"\xff" + content),
    "configuration is no text": ("config.yaml", lambda content: b"\xff" + content),
    "configuration is no YAML": ("config.yaml", lambda content: b"{" + content),
    "configuration is a list": ("config.yaml", lambda content: b"[1]"),
    "configuration without algo": ("config.yaml", lambda content: content.replace(b"\nalgo:", b"\nalgx:")),
    "configuration without env": ("config.yaml", lambda content: content.replace(b"\nenv:", b"\nenx:")),
    "environment is text": (
        "config.yaml",
        lambda content: b"env: hopper\nalgo: {name: gail}\ncheckpoint_every: 2",
    ),
    "expert's record is a list": ("expert.json", lambda content: b"[1]"),
    "expert's record has text": ("expert.json", lambda content: b'{"eval_return_mean": "much"}'),
    "expert's record is no text": ("expert.json", lambda content: b"\xff" + content),
}


@pytest.mark.parametrize(("name", "change"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_and_nothing_is_published(
    name: str, change: Change, killed: Path, tmp_path: Path, capsys: Captured
) -> None:
    whole = (killed / name).read_bytes()
    (killed / name).write_bytes(change(whole))
    assert (killed / name).read_bytes() != whole
    assert main([f"run={killed}", "episodes=1", f"publish={tmp_path / 'expert'}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {killed}")
    assert f"{name} can't be read: " in said or f"it and {name} are not what its checksum says" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "expert").exists()


def test_a_finished_run_whose_policy_was_changed_is_refused(tmp_path: Path, capsys: Captured) -> None:
    folder = as_a_command_leaves_it(run(small_run("gail"), tmp_path / "run"))
    policy = load_learned(folder).policy
    with torch.no_grad():
        gaussian(policy).log_std.add_(1)
    save_policy(folder, policy, 6)
    assert main([f"run={folder}"]) == 1
    assert "policy.safetensors is missing or is not what summary.json says" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match=r"policy\.safetensors is missing or is not what summary\.json says"):
        gailfe.load_policy(folder)
    save_policy(folder, policy, 8)  # as a run does that goes on with a larger budget
    assert load_learned(folder).iteration == 8


def test_a_published_policy_is_an_expert_for_other_runs(killed: Path, tmp_path: Path, capsys: Captured) -> None:
    published = tmp_path / "my_expert"
    assert main([f"run={killed}", "episodes=2", f"publish={published}"]) == 0
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    short = ["env.max_episode_steps=5", "demonstrations.num_trajectories=2", "demonstrations.deterministic=true"]
    config = compose("env=hopper", "expert=pretrained", f"expert.folder={published}", "tracking=none", *short)
    store = Store(tmp_path / "artifacts")
    folder = make_expert(config, store)
    assert json.loads((folder / "evaluation.json").read_text())["eval_return_mean"] == record["return_mean"]
    demonstrated = load_demonstrations(make_demonstrations(config, store, folder)).expert
    act = load_learned(killed).policy.acting()
    for trajectory in demonstrated:
        assert np.allclose(trajectory.actions, act(trajectory.observations[:-1]), atol=1e-6)
    assert expert_of(config).existing(store) == folder
    assert main([f"run={killed}", f"publish={published}"]) == 2  # it is there now
