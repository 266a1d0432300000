"""How much of the expert's data is learned from: drawn by the seed, and the learner sees nothing else."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import HOPPER, HOPPER_DIMS, compose, make_algo

from expert.collect import demonstrations_recipe
from expert.subsampling import choose_pairs
from gailfe.algorithms.imitation import Imitator
from gailfe.config.keys import ConfigError
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.storage.recipe import run_recipe
from gailfe.storage.store import artifact_key


def numbered(number: int, steps: int) -> Trajectory:
    """Row t of every array holds 1000 · number + t."""
    rows = 1000 * number + np.arange(steps + 1.0)
    return Trajectory(
        observations=np.repeat(rows[:, None], HOPPER_DIMS[0], axis=1),
        actions=np.full((steps, HOPPER_DIMS[1]), number / 10, dtype=np.float32),
        rewards=rows[:-1],
        terminated=False,
        truncated=True,
    )


EXPERT = [numbered(i, 100) for i in range(10)]


def choose(
    use: int | None = None, every: int = 1, seed: int = 0, expert: list[Trajectory] = EXPERT
) -> list[Trajectory]:
    settings = replace(compose().demonstrations, use_trajectories=use, subsample=every)
    return list(choose_pairs(expert, settings, seed))


def rows(trajectories: list[Trajectory]) -> list[list[int]]:
    return [t.observations[:-1, 0].astype(int).tolist() for t in trajectories]


def test_by_default_everything_is_learned_from_as_it_is() -> None:
    assert choose_pairs(EXPERT, compose().demonstrations, 3) is EXPERT


def test_every_nth_pair_is_kept_from_offsets_that_differ() -> None:
    chosen = rows(choose(every=20))
    offsets = [first[0] % 1000 for first in chosen]
    assert chosen == [[1000 * i + offset + 20 * k for k in range(5)] for i, offset in enumerate(offsets)]
    assert all(0 <= offset < 20 for offset in offsets)
    assert len(set(offsets)) > 4


def test_one_pair_of_each_trajectory_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    choose(every=50)
    assert "leaves one" not in caplog.text
    choose(every=200)
    assert "demonstrations.subsample=200 leaves one state-action pair of each trajectory" in caplog.text


def test_actions_and_rewards_stay_with_their_observations() -> None:
    for trajectory in choose(use=3, every=7):
        assert np.array_equal(trajectory.rewards, trajectory.observations[:-1, 0])
        number = int(trajectory.rewards[0]) // 1000
        assert trajectory.actions == pytest.approx(np.full((len(trajectory), HOPPER_DIMS[1]), number / 10))
        assert trajectory.observations[-1, 0] == 1000 * number + 100


def test_trajectories_and_offsets_are_drawn_by_the_seed() -> None:
    assert rows(choose(4, 20, seed=1)) == rows(choose(4, 20, seed=1))
    assert len({str(rows(choose(4, seed=seed))) for seed in range(8)}) > 6
    assert len({str(rows(choose(None, 20, seed=seed))) for seed in range(8)}) == 8
    few, more = rows(choose(2, 20)), rows(choose(5, 20))
    assert (len(few), len(more)) == (2, 5)
    assert all(trajectory in more for trajectory in few)


def test_a_trajectory_shorter_than_the_step_keeps_one_pair() -> None:
    assert [len(t) for t in choose(every=50, expert=[numbered(0, 3), numbered(1, 1)])] == [1, 1]


def test_more_trajectories_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"use_trajectories=11 must be at most 10"):
        choose(11)


def test_the_learner_sees_only_the_chosen_pairs() -> None:
    chosen = choose(3, 20)
    imitator = Imitator(make_algo(), HOPPER, Demonstrations(chosen, []), lambda _: False, 0)
    assert imitator.expert_pairs[:, 0].int().tolist() == [row for part in rows(chosen) for row in part]
    assert len(imitator.expert_pairs) == 15
    mean = imitator.expert_pairs[:, 0].double().mean()
    assert torch.isclose(imitator.policy.normalizer.mean[0].double(), mean, rtol=1e-3)


def test_how_much_is_used_decides_the_run_and_not_the_demonstrations() -> None:
    default = compose()
    changed = [
        compose("demonstrations.use_trajectories=4"),
        compose("demonstrations.use_trajectories=5"),
        compose("demonstrations.subsample=20"),
    ]
    assert len({artifact_key(demonstrations_recipe(c)) for c in [default, *changed]}) == 1
    assert len({artifact_key(run_recipe(c, "key")) for c in [default, *changed]}) == 4
    assert "demonstrations" not in run_recipe(default, "key")
    same = dataclasses.replace(default, demonstrations=dataclasses.replace(default.demonstrations, seed=9))
    assert run_recipe(same, "key") == run_recipe(default, "key")
