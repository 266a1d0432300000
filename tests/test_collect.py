"""Stage 2: which episodes are kept, which are split off, and what is on record about them."""

from __future__ import annotations

import dataclasses
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import PendulumEnv
from helpers import PENDULUM, box, compose, make_policy, seeded

from expert.checkpoints import checkpoint_folder
from expert.collect import (
    SUMMARY,
    NotEnoughDemonstrations,
    collect,
    demonstrations_recipe,
    make_demonstrations,
)
from expert.demonstrations import EXPERT, load_demonstrations
from gailfe.config.schema import AnnotatorConfig, Config
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.nn.gaussian import GaussianPolicy
from gailfe.nn.policy_file import save_policy
from gailfe.storage.names import MANIFEST
from gailfe.storage.store import Store, artifact_key

STEPS = 20
ENV = dataclasses.replace(PENDULUM, max_episode_steps=STEPS)
ARRAYS = ("observations", "actions", "rewards")


def expert_policy() -> GaussianPolicy:
    """Untrained, but it has seen observations, so that its normalisation does something."""
    policy = make_policy(action_dim=1, space=box([-2.0], [2.0]), log_std_init=0.5, spread=0.5)
    policy.normalizer.update(3.0 + 5.0 * torch.randn(64, 3, generator=seeded(1)))
    return policy


@pytest.fixture(scope="module")
def expert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("expert")
    save_policy(folder, expert_policy())
    return folder


@torch.no_grad()
def mean_actions(episode: Trajectory) -> np.ndarray:
    """What the expert would have done without noise, (T, 1), within ±2."""
    policy = expert_policy()
    return policy.to_env(
        policy.mean(policy.normalizer(torch.from_numpy(episode.observations[:-1]))).detach().numpy()
    )


def make_config(min_return: float = -np.inf, **settings: Any) -> Config:
    """Failed is what stays below `min_return`."""
    arguments = {"min_return": float(min_return)}
    annotator = AnnotatorConfig("below", "helpers.below", arguments)
    config = compose("env=pendulum")
    demonstrations = dataclasses.replace(config.demonstrations, **({"num_trajectories": 8} | settings))
    return dataclasses.replace(config, env=ENV, annotator=annotator, demonstrations=demonstrations)


@pytest.fixture(scope="module")
def episodes(expert: Path) -> Sequence[Trajectory]:
    """The first eight episodes, unsorted: nothing fails here."""
    return list(collect(make_config(), expert)[0].expert)


def returns(trajectories: Sequence[Trajectory]) -> list[float]:
    return [t.total_reward for t in trajectories]


def test_failures_are_split_off_until_enough_others_are_there(expert: Path, episodes: list[Trajectory]) -> None:
    threshold = float(np.median(returns(episodes)))
    good = [t.total_reward >= threshold for t in episodes]
    tried = int(np.flatnonzero(good)[2]) + 1  # the third success is the last one wanted
    (kept, failed), summary = collect(make_config(threshold, num_trajectories=3), expert)
    seen = returns(episodes)[:tried]
    assert returns(kept) == [r for r in seen if r >= threshold]
    assert returns(failed) == [r for r in seen if r < threshold]
    assert failed, "no failure among them: this test needs another seed"
    assert summary == {
        "tried": tried,
        "kept": 3,
        "failed": tried - 3,
        "expert_return_mean": pytest.approx(np.mean(returns(kept))),
        "failed_return_mean": pytest.approx(np.mean(returns(failed))),
    }


def test_an_expert_that_fails_too_often_ends_with_what_to_change(expert: Path) -> None:
    config = make_config(np.inf, num_trajectories=2, max_attempts=5)
    with pytest.raises(NotEnoughDemonstrations) as caught:
        collect(config, expert)
    message = str(caught.value)
    for words in (
        "demonstrations.max_attempts=5",
        "demonstrations.num_trajectories=2",
        "annotator=below",
        "only 0",
    ):
        assert words in message


def test_the_last_attempt_still_counts(expert: Path, episodes: list[Trajectory]) -> None:
    best = max(returns(episodes))
    attempt = returns(episodes).index(best) + 1
    found, _ = collect(make_config(best, num_trajectories=1, max_attempts=attempt), expert)
    assert returns(found.expert) == [best]
    if attempt > 1:
        with pytest.raises(NotEnoughDemonstrations):
            collect(make_config(best, num_trajectories=1, max_attempts=attempt - 1), expert)


def test_the_same_seed_gives_the_same_demonstrations_and_another_seed_others(
    expert: Path, episodes: list[Trajectory]
) -> None:
    again = collect(make_config(), expert)[0].expert
    for ours, theirs in zip(again, episodes, strict=True):
        assert all(np.array_equal(getattr(ours, name), getattr(theirs, name)) for name in ARRAYS)
    other = collect(make_config(seed=1), expert)[0].expert
    assert not {t.observations[0].tobytes() for t in other} & {t.observations[0].tobytes() for t in episodes}
    noise = [np.concatenate([t.actions - mean_actions(t) for t in found]) for found in (other, episodes)]
    free = np.all([np.abs(np.concatenate([t.actions for t in f])) < 2 for f in (other, episodes)], axis=0)
    assert free.sum() > 10
    assert np.median(np.abs(noise[0] - noise[1])[free]) > 0.1  # where neither action is clipped


def test_episodes_differ_from_one_another(episodes: list[Trajectory]) -> None:
    assert len({t.observations[0].tobytes() for t in episodes}) == len(episodes)
    assert all(len(t) == STEPS and t.truncated and not t.terminated for t in episodes)


@pytest.mark.parametrize("deterministic", [False, True])
def test_observations_are_raw_and_actions_are_those_that_the_environment_received(
    expert: Path, deterministic: bool
) -> None:
    """Every stored step, done again from the state that its observation stands for, leads to the next one."""
    found = collect(make_config(deterministic=deterministic), expert)[0].expert
    env = gymnasium.make("Pendulum-v1").unwrapped
    assert isinstance(env, PendulumEnv)
    env.reset(seed=0)
    for episode in found[:3]:
        assert episode.observations.dtype == np.float64
        for t, action in enumerate(episode.actions):
            assert env.action_space.contains(action)
            cosine, sine, velocity = episode.observations[t]
            env.state = np.array([np.arctan2(sine, cosine), velocity])
            observation, reward, *_ = env.step(action)
            assert observation == pytest.approx(episode.observations[t + 1], abs=1e-4)
            assert reward == pytest.approx(episode.rewards[t], abs=1e-3)


def test_sampled_actions_are_noisy_and_clipped_to_the_bounds(episodes: list[Trajectory]) -> None:
    actions = np.concatenate([t.actions for t in episodes])
    assert 0.05 < (np.abs(actions) == 2.0).mean() < 0.95
    changes = np.concatenate([np.diff(t.actions[:, 0]) for t in episodes])
    assert np.abs(changes).mean() > 0.5  # a mean action moves smoothly


def test_deterministic_takes_the_mean_action(expert: Path) -> None:
    found = collect(make_config(deterministic=True), expert)[0].expert
    for episode in found:
        assert episode.actions == pytest.approx(mean_actions(episode), abs=1e-5)


def test_the_artefact_holds_both_datasets_the_summary_and_says_when_nothing_failed(
    expert: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, episodes: list[Trajectory]
) -> None:
    store = Store(tmp_path)
    with caplog.at_level(logging.INFO):
        folder = make_demonstrations(make_config(), store, expert)
    assert "tried 8 episodes, kept 8" in caplog.text
    assert "β_F will begin empty" in caplog.text
    assert returns(load_demonstrations(folder).expert) == returns(episodes)
    assert json.loads((folder / SUMMARY).read_text())["failed"] == 0
    caplog.clear()
    threshold = float(np.median(returns(episodes)))
    with caplog.at_level(logging.INFO):
        other = make_demonstrations(make_config(threshold, num_trajectories=3), store, expert)
    assert other != folder
    assert "β_F will begin empty" not in caplog.text
    assert f"split off {len(load_demonstrations(other).failed)} failed by below" in caplog.text


def test_collecting_that_was_interrupted_begins_anew(expert: Path, tmp_path: Path) -> None:
    config, store = make_config(), Store(tmp_path)
    folder = make_demonstrations(config, store, expert)
    (folder / MANIFEST).unlink()
    folder.rename(folder.with_name(folder.name + ".partial"))  # as if the maker had died before it was done
    again = make_demonstrations(config, store, expert)
    assert again == folder
    loaded = load_demonstrations(again)
    assert isinstance(loaded, Demonstrations)
    assert len(loaded.expert) == 8
    assert (again / EXPERT).is_dir()


def test_demonstrations_depend_on_expert_annotator_and_settings_and_not_on_names_of_places() -> None:
    def key(config: Config) -> str:
        return artifact_key(demonstrations_recipe(config))

    first = key(make_config())
    another_expert = make_config()
    another_expert.expert.seed += 1
    others = [
        key(make_config(seed=1)),
        key(make_config(num_trajectories=7)),
        key(make_config(deterministic=True)),
        key(make_config(min_return=-1e9)),
        key(another_expert),
    ]
    assert len({first, *others}) == 6
    moved = make_config()
    moved.experiment, moved.seed, moved.paths.runs, moved.env.num_iterations = "other", 5, "elsewhere", 7
    assert key(moved) == first


def test_earlier_selves_add_their_failures_and_none_of_their_successes(tmp_path: Path, expert: Path) -> None:
    folder = tmp_path / "expert"
    shutil.copytree(expert, folder)
    for iteration in (10, 20, 30):
        younger = make_policy(seed=iteration, action_dim=1, space=box([-2.0], [2.0]), spread=2.0)
        save_policy(checkpoint_folder(folder, iteration), younger)
    plain = make_config(min_return=-100.0, num_trajectories=4)
    before, without = collect(plain, folder)
    settings = make_config(min_return=-100.0, num_trajectories=4, earlier_checkpoints=2, earlier_episodes=6)
    demonstrations, summary = collect(settings, folder)
    assert len(demonstrations.expert) == len(before.expert)
    for ours, theirs in zip(demonstrations.expert, before.expert, strict=True):
        assert np.array_equal(ours.observations, theirs.observations)
    added = demonstrations.failed[len(before.failed) :]
    assert (summary["tried"], summary["failed"]) == (without["tried"], without["failed"])
    assert summary["earlier_tried"] == 12
    assert 0 < summary["earlier_failed"] == len(added) < 12
    assert all(trajectory.total_reward < -100.0 for trajectory in added)


def test_no_two_episodes_start_alike_whichever_checkpoint_they_are_of(tmp_path: Path, expert: Path) -> None:
    folder = tmp_path / "expert"
    shutil.copytree(expert, folder)
    for iteration in (10, 20):  # copies of the expert: from the same state they would do the same
        save_policy(checkpoint_folder(folder, iteration), expert_policy())
    collected = make_config(min_return=-100.0, num_trajectories=4, earlier_checkpoints=2, earlier_episodes=12)
    demonstrations, summary = collect(collected, folder)
    starts = [t.observations[0].tobytes() for t in (*demonstrations.expert, *demonstrations.failed)]
    assert summary["earlier_failed"] > 12, "both checkpoints must have failed: this test needs another threshold"
    assert len(set(starts)) == len(starts)
