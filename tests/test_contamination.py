"""Contaminated demonstrations: how much of them weaker policies made, and what is known about it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import minari
import numpy as np
import pytest
from helpers import compose, make_policy, make_trajectory, seeded, unit_box

from expert.collect import demonstrations_recipe, make_demonstrations
from expert.contamination import Source, check_contamination, contaminate, contaminate_own, weaker_policies
from expert.demonstrations import EXPERT, load_demonstrations
from expert.experts import expert_of
from gailfe.config.keys import ConfigError
from gailfe.config.schema import Config
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.nn.policy_file import save_policy
from gailfe.storage.store import Store, artifact_key

PRETRAINED = ("env=hopper", "expert=pretrained", "expert.eval_episodes=1")


def endless(length: int, seed: int) -> Iterator[Trajectory]:
    return (make_trajectory(length, seed=seed + i) for i in itertools.count())


def pairs(trajectories: Sequence[Trajectory]) -> int:
    return sum(map(len, trajectories))


def is_in(trajectory: Trajectory, trajectories: Sequence[Trajectory]) -> bool:
    return any(np.array_equal(trajectory.actions, other.actions) for other in trajectories)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_weaker_episodes_make_up_the_share_and_the_clean_ones_all_stay(share: float) -> None:
    clean = Demonstrations([make_trajectory(100, seed=i) for i in range(10)], [make_trajectory(30, seed=99)])
    sources = [Source("slow", endless(7, 1000)), Source("fallen", endless(3, 2000))]
    (expert, failed), records = contaminate(clean, sources, share)
    weaker = pairs(expert) - 1000
    assert weaker / pairs(expert) == pytest.approx(share, abs=0.01)
    assert expert[:10] == clean.expert
    assert failed[0] is clean.failed[0]
    assert not any(is_in(trajectory, expert) for trajectory in failed)
    for record, length in zip(records, (7, 3), strict=True):
        assert record["unlabelled_pairs"] == pytest.approx(weaker / 2, abs=length)
        assert record["failed_pairs"] == record["unlabelled_pairs"]
        assert record["unlabelled_pairs"] == length * record["unlabelled_episodes"]


@pytest.mark.parametrize(("share", "episodes"), [(0.4, 2), (0.8, 12), (0.9, 27), (0.25, 1)])
def test_no_episode_is_added_beyond_the_share(share: float, episodes: int) -> None:
    clean = Demonstrations([make_trajectory(10, seed=i) for i in range(3)], [])
    (expert, _), _ = contaminate(clean, [Source("slow", endless(10, 1000))], share)
    assert len(expert) == 3 + episodes
    failed = [make_trajectory(10, seed=100 + i) for i in range(30)]
    settings: Any = compose(f"demonstrations.contamination={share}").demonstrations
    assert len(contaminate_own(clean._replace(failed=failed), settings).expert) == 3 + episodes


@pytest.mark.parametrize(("share", "level"), [(0.5, "INFO"), (0.1, "WARNING")])
def test_the_share_that_was_reached_is_told_with_a_warning_where_an_episode_is_too_long_for_it(
    share: float, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    clean = Demonstrations([make_trajectory(10)], [make_trajectory(10, seed=i) for i in (1, 2)])
    contaminate_own(clean, compose(f"demonstrations.contamination={share}").demonstrations)
    last = caplog.records[-1]
    assert (last.levelname, last.getMessage().count("50.0% of the pairs")) == (level, 1)


def config_of(tmp_path: Path, *overrides: str) -> Config:
    return compose(*PRETRAINED, f"paths.artifacts={tmp_path}", "demonstrations.num_trajectories=1", *overrides)


@pytest.fixture
def weaker(tmp_path: Path) -> Path:
    folder = tmp_path / "weaker"
    folder.mkdir()
    save_policy(folder, make_policy(11, 3, space=unit_box(3), spread=0.3))
    return folder


def test_what_contaminates_is_in_the_dataset_and_none_of_it_changes_the_clean_part(
    tmp_path: Path, weaker: Path
) -> None:
    clean = config_of(tmp_path)
    config = config_of(tmp_path, "demonstrations.contamination=0.2", f"demonstrations.weaker_policies=[{weaker}]")
    check_contamination(config)
    store = Store(tmp_path)
    expert_folder = expert_of(config).make(store)
    folder = make_demonstrations(config, store, expert_folder)
    dirty, reference = (
        load_demonstrations(path) for path in (folder, make_demonstrations(clean, store, expert_folder))
    )
    (expert,) = reference.expert
    np.testing.assert_array_equal(dirty.expert[0].observations, expert.observations)
    others = dirty.expert[1:]
    assert 0.2 <= pairs(others) / pairs(dirty.expert) < 0.25
    assert len(dirty.failed) == len(reference.failed) + len(others)
    metadata = minari.MinariDataset(folder / EXPERT / "data").storage.metadata
    (record,) = metadata["contamination"]
    assert record["policy"] == str(weaker)
    assert record["unlabelled_episodes"] == len(others)
    returns = [trajectory.total_reward for trajectory in others]
    assert record["unlabelled_return_mean"] == pytest.approx(np.mean(returns))
    starts = {trajectory.observations[0].tobytes() for trajectory in [*dirty.expert, *dirty.failed]}
    assert len(starts) == len(dirty.expert) + len(dirty.failed)


def test_the_key_follows_the_weights_and_clean_demonstrations_keep_theirs(tmp_path: Path, weaker: Path) -> None:
    def key(*overrides: str) -> str:
        return artifact_key(demonstrations_recipe(config_of(tmp_path, *overrides)))

    chosen = ("demonstrations.contamination=0.2", f"demonstrations.weaker_policies=[{weaker}]")
    assert key("demonstrations.weaker_returns=[0.5]") == key()
    assert key(*chosen) != key()
    before = key(*chosen)
    save_policy(weaker, make_policy(11, 3, space=unit_box(3), spread=0.3, seed=1))
    assert key(*chosen) != before


def test_the_earlier_checkpoints_of_the_wanted_returns_are_taken(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "demonstrations.contamination=0.2", "demonstrations.weaker_returns=[0.1,0.12,0.6]"
    )
    returns = {"000020": 120.0, "000040": 550.0, "000060": 800.0}
    for name, value in {**{f"checkpoints/{n}": r for n, r in returns.items()}, ".": 1000.0}.items():
        folder = tmp_path / "expert" / name
        folder.mkdir(parents=True, exist_ok=True)
        save_policy(folder, make_policy(11, 3, space=unit_box(3)))
        (folder / "evaluation.json").write_text(json.dumps({"eval_return_mean": value}))
    assert list(weaker_policies(config, tmp_path / "expert")) == ["checkpoints/000020", "checkpoints/000040"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["demonstrations.contamination=1.0"], r"demonstrations\.contamination=1\.0 must be .* below 1"),
        (["demonstrations.weaker_returns=[1.5]"], r"demonstrations\.weaker_returns=\[1\.5\]"),
        (
            ["demonstrations.contamination=0.1", "demonstrations.weaker_policies=[nowhere]"],
            r"weaker_policies=nowhere must be the folder of a policy for env=hopper",
        ),
        (["demonstrations.contamination=0.1", "env=ant"], r"no earlier checkpoints for env=ant; give"),
        (
            ["demonstrations=minari", "demonstrations.dataset=mine", "demonstrations.contamination=0.1"],
            r"give demonstrations\.failed_dataset",
        ),
    ],
)
def test_what_cannot_contaminate_is_refused_before_any_work(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_contamination(config_of(tmp_path, *overrides))


def test_failures_of_ones_own_dataset_contaminate_it_and_the_others_stay_failures() -> None:
    clean = Demonstrations([make_trajectory(50, seed=i) for i in range(4)], [])
    failed = [make_trajectory(10, seed=100 + i) for i in range(12)]
    settings: Any = compose("demonstrations.contamination=0.2", "demonstrations.seed=3").demonstrations
    expert, rest = contaminate_own(clean._replace(failed=failed), settings)
    assert pairs(expert) == 250
    assert expert[:4] == clean.expert
    assert len(rest) == 7
    assert all(is_in(t, rest) != is_in(t, expert) for t in failed)
    with pytest.raises(ConfigError, match=r"contamination=0\.2 needs 50 .* there are 5 failed .* 50 pairs"):
        contaminate_own(clean._replace(failed=failed[:5]), settings)


def test_ppo_checkpoints_say_what_they_achieve(tmp_path: Path) -> None:
    config = compose(
        "env=pendulum", "env.max_episode_steps=20", "expert.num_envs=2", "expert.steps_per_iteration=64",
        "expert.total_steps=192", "expert.eval_every=1", "expert.eval_episodes=1", "expert.finalists=1",
        "expert.finalist_episodes=1", "expert.final_eval_episodes=1", "expert.hidden_sizes=[8]",
        "demonstrations.contamination=0.2", "demonstrations.weaker_returns=[0.5]",
    )  # fmt: skip
    folder = expert_of(config).make(Store(tmp_path))
    ((name, policy),) = weaker_policies(config, folder).items()
    assert name in {f"checkpoints/{iteration:06d}" for iteration in (1, 2, 3)}
    assert policy.acting(seeded(0))(np.zeros((1, 3))).shape == (1, 1)


def test_an_expert_whose_checkpoints_were_not_evaluated_is_named(tmp_path: Path) -> None:
    config = config_of(tmp_path, "demonstrations.contamination=0.2")
    folder = tmp_path / "expert"
    (folder / "checkpoints" / "000020").mkdir(parents=True)
    (folder / "evaluation.json").write_text(json.dumps({"eval_return_mean": 1000.0}))
    with pytest.raises(ConfigError, match=r"checkpoints of .*expert have no evaluation\.json"):
        weaker_policies(config, folder)
