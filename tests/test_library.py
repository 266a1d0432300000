"""The public functions of gailfe/__init__.py, from Python and without a command line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import user_envs
from gymnasium.envs.classic_control import PendulumEnv
from gymnasium.wrappers import TimeLimit
from helpers import compose, make_policy, make_trajectory, unit_box
from minari import MinariDataset
from omegaconf import OmegaConf

import gailfe
from expert.demonstrations import save_dataset
from expert.video import CAPTION, GAP
from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.trajectory import Trajectory
from gailfe.given import trajectories
from gailfe.library import Policy

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
PENDULUM = [make_trajectory(20, seed=i, dims=(3, 1), terminated=False) for i in range(2)]
FAILED = [make_trajectory(10, seed=5, dims=(3, 1))]
TINY: dict[str, Any] = {
    "num_iterations": 2,
    "algo.num_envs": 2,
    "algo.steps_per_iteration": 64,
    "algo.policy.hidden_sizes": [8],
    "algo.value.hidden_sizes": [8],
    "algo.discriminator.hidden_sizes": [8],
    "evaluation.episodes": 1,
    "max_episode_steps": 30,
}


def learn(
    env: Any = "Pendulum-v1", demonstrations: Any = PENDULUM, failures: Any = None, **changed: Any
) -> Policy:
    return gailfe.imitate(env, demonstrations, failures, **{**TINY, **changed})


def actions(policy: Policy) -> np.ndarray:
    """What a policy does for some observations of Pendulum."""
    return policy.predict(np.random.default_rng(0).normal(size=(4, 3)))[0]


def arrays(demonstrations: list[Trajectory]) -> dict[str, np.ndarray]:
    """As a user has them: rows, and where episodes end."""
    ends = [np.arange(len(t)) == len(t) - 1 for t in demonstrations]
    return {
        "observations": np.concatenate([t.observations[:-1] for t in demonstrations]),
        "next_observations": np.concatenate([t.observations[1:] for t in demonstrations]),
        "actions": np.concatenate([t.actions for t in demonstrations]),
        "rewards": np.concatenate([t.rewards for t in demonstrations]),
        "terminated": np.concatenate([end & t.terminated for end, t in zip(ends, demonstrations, strict=True)]),
        "truncated": np.concatenate([end & t.truncated for end, t in zip(ends, demonstrations, strict=True)]),
    }


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Policy, Path]:
    """GAILFE on Pendulum, and the folder of its run."""
    folder = tmp_path_factory.mktemp("library") / "run"
    return learn(failures=FAILED, folder=folder), folder


def test_importing_the_package_loads_nothing_of_it() -> None:
    script = "import gailfe, sys; print([m for m in ('torch', 'gymnasium', 'hydra', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
    assert all(getattr(gailfe, name) for name in gailfe.__all__)
    with pytest.raises(AttributeError, match="learn"):
        gailfe.learn  # noqa: B018


def test_every_iteration_has_its_metrics_and_the_run_its_files(learned: tuple[Policy, Path]) -> None:
    policy, folder = learned
    assert [row["iteration"] for row in policy.metrics] == [1, 2]
    assert {"lambda_f", "eval_return_mean"} <= policy.metrics[-1].keys()
    config = OmegaConf.load(folder / "config.yaml")
    assert (config.env.name, config.annotator.name) == (
        "pendulum",
        "low_return",
    )  # as conf/env/pendulum.yaml has it
    assert np.array_equal(actions(gailfe.load_policy(folder)), actions(policy))


def test_the_same_command_again_goes_on_and_another_is_refused(learned: tuple[Policy, Path]) -> None:
    policy, folder = learned
    assert np.array_equal(actions(learn(failures=FAILED, folder=folder)), actions(policy))
    with pytest.raises(ConfigError, match="seed was 0, now 1"):
        learn(failures=FAILED, folder=folder, seed=1)
    with pytest.raises(ConfigError, match="demonstrations_key"):
        learn(folder=folder)


def test_every_form_of_demonstrations_and_environment_gives_the_same_policy(
    learned: tuple[Policy, Path], tmp_path: Path
) -> None:
    expected = actions(learned[0])
    env = EnvConfig(name="pendulum", id="Pendulum-v1")
    save_dataset(tmp_path / "mine", "mine-v0", PENDULUM, env, "noise", {})
    made = gymnasium.make("Pendulum-v1", render_mode="rgb_array")
    for given, demonstrations in (("Pendulum-v1", arrays(PENDULUM)), (made, tmp_path / "mine")):
        assert np.allclose(actions(learn(given, demonstrations, FAILED)), expected, atol=1e-3)


def test_of_a_loaded_dataset_the_chosen_episodes_count(tmp_path: Path) -> None:
    env = EnvConfig(name="pendulum", id="Pendulum-v1")
    save_dataset(tmp_path / "mine", "mine-v0", PENDULUM, env, "noise", {})
    dataset = MinariDataset(tmp_path / "mine" / "data").filter_episodes(lambda episode: episode.id == 1)
    (found,) = trajectories(dataset, "dataset", compose("env=pendulum"))
    assert np.allclose(found.actions, PENDULUM[1].actions)


def test_a_function_makes_the_environment_and_another_one_judges_its_episodes() -> None:
    judged: list[Trajectory] = []

    def fails(trajectory: Trajectory) -> bool:
        judged.append(trajectory)
        return True

    before = set(gymnasium.registry)
    made = learn(lambda: TimeLimit(PendulumEnv(), 30), annotator=fails, max_episode_steps=15)
    assert {len(trajectory) for trajectory in judged} == {15}
    assert made.metrics[-1]["episodes"] > 0
    assert set(gymnasium.registry) == before


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"env": gymnasium.Wrapper(PendulumEnv())}, "it has no spec.*lambda: MyEnv"),
        (
            {"env": user_envs.OffersCount(gymnasium.make("Pendulum-v1"))},
            "OffersCount doesn't record its arguments",
        ),
        ({"env": 3}, "env=3 must be an id"),
        ({"env": lambda: 3}, "must make a gymnasium.Env, got 3"),
        ({"env": PendulumEnv, "max_episode_steps": None}, "is registered without a limit"),
        ({"env": "user_envs:Odd-v0", "num_iterations": None}, "num_iterations must be given"),
        ({"demonstrations": []}, "with at least one"),
        ({"demonstrations": [1, 2]}, "a list of gailfe.Trajectory"),
        ({"demonstrations": "nowhere"}, "demonstrations.dataset=nowhere must be the folder"),
        ({"demonstrations": {"actions": np.zeros((3, 1))}}, "observations is missing"),
        ({"demonstrations": [make_trajectory(5)]}, r"must be \(5, 3\)"),
        ({"algo": "gial"}, "gial"),
        ({"algo.gama": 0.9}, "algo.gama"),
        ({"algo.gamma": 2.0}, "algo.gamma=2.0 must be between 0 and 1"),
        ({"tracking.mode": "online"}, "tracking.mode=online: can't be set here; valid are algo."),
    ],
)
def test_what_cannot_be_learned_from_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        learn(**changed)


def test_predict_takes_one_observation_or_several_and_draws_where_asked() -> None:
    policy = Policy(make_policy(3, 2, spread=0.5))
    rows = np.random.default_rng(0).normal(size=(4, 3))
    several, state = policy.predict(rows, state=(rows,), episode_start=np.ones(4, dtype=bool))
    assert several.shape == (4, 2)
    assert several.dtype == np.float32
    assert state is not None
    assert state[0] is rows
    one, state = policy.predict(rows[1].astype(np.float32))
    assert state is None
    assert np.allclose(one, several[1], atol=1e-5)
    drawn, again = (policy.predict(rows, deterministic=False)[0] for _ in range(2))
    assert not np.array_equal(drawn, again)
    assert np.abs([drawn, again]).max() <= 1
    with pytest.raises(ValueError, match=r"\(3,\) or \(n, 3\), got \(4,\)"):
        policy.predict(np.zeros(4))


def test_a_saved_policy_is_loaded_and_rolled_out(tmp_path: Path) -> None:
    policy = Policy(make_policy(3, space=gymnasium.spaces.Box(-2, 2, (1,)), spread=0.5))
    policy.save(tmp_path / "mine")
    loaded = gailfe.load_policy(tmp_path / "mine")
    assert loaded.metrics == []
    episodes = gailfe.rollout(loaded, PendulumEnv, episodes=2, seed=1, max_episode_steps=7)
    assert [len(trajectory) for trajectory in episodes] == [7, 7]
    for trajectory in episodes:
        assert np.allclose(policy.predict(trajectory.observations[:-1])[0], trajectory.actions, atol=1e-5)
    with pytest.raises(ConfigError, match=r"observations of 3 numbers, those of env\.id=Hopper-v5 have 11"):
        gailfe.rollout(loaded, "Hopper-v5")
    with pytest.raises(ConfigError, match=r"has no policy\.safetensors"):
        gailfe.load_policy(tmp_path)


def test_policies_are_filmed_side_by_side(tmp_path: Path) -> None:
    frames = pytest.importorskip("imageio_ffmpeg").read_frames
    policies = {name: Policy(make_policy(1, space=unit_box(1), seed=i)) for i, name in enumerate("ab")}
    gailfe.film(policies, user_envs.Drawn, tmp_path / "both.mp4", episodes=2, max_episode_steps=5)
    assert next(frames(str(tmp_path / "both.mp4")))["size"] == (2 * 40 + GAP, CAPTION + 32)
    with pytest.raises(ConfigError, match=r"path=both\.gif must end in \.mp4"):
        gailfe.film(policies["a"], user_envs.Drawn, "both.gif")
    with pytest.raises(ConfigError, match=r"observations of 1 numbers, those of env\.id=Hopper-v5 have 11"):
        gailfe.film(policies["a"], "Hopper-v5", tmp_path / "one.mp4")


def test_wrappers_are_around_the_environment_of_a_rollout() -> None:
    half = {"_target_": "gymnasium.wrappers.RescaleAction", "min_action": -0.5, "max_action": 0.5}
    policy = Policy(make_policy(3, space=gymnasium.spaces.Box(-0.5, 0.5, (1,))))
    (episode,) = gailfe.rollout(policy, "Pendulum-v1", max_episode_steps=3, wrappers=[half])
    assert len(episode) == 3
    with pytest.raises(ConfigError, match="the policy's actions are"):
        gailfe.rollout(policy, "Pendulum-v1")


def test_experts_of_the_package_are_found_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert gailfe.load_expert("hopper").observation_dim == 11
    with pytest.raises(ConfigError, match=r"env=hoper: .* valid: ant, halfcheetah, hopper, walker2d"):
        gailfe.load_expert("hoper")


def test_stable_baselines3_evaluates_a_policy_as_we_do() -> None:
    evaluation = pytest.importorskip("stable_baselines3.common.evaluation")
    policy = Policy(make_policy(3, 1, spread=0.5))
    env = TimeLimit(PendulumEnv(), 10)
    mean, _ = evaluation.evaluate_policy(policy, env, n_eval_episodes=2, warn=False)
    observation, _ = env.reset(seed=0)
    assert env.action_space.contains(policy.predict(observation)[0])
    assert -17 * 10 < mean < 0


def test_the_example_of_the_docs_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("stable_baselines3")
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"<!-- library -->\n```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for long, short in (("num_iterations=100", "num_iterations=1"), ("episodes=10)", "episodes=1)")):
        assert long in code
        code = code.replace(long, short)
    names: dict[str, Any] = {}
    exec(code, names)
    assert len(names["policy"].metrics) == 1
    assert names["expert"].observation_dim == gailfe.load_policy(tmp_path / "my_policy").observation_dim == 11
