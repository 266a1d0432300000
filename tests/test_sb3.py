"""Experts of Stable-Baselines3: that they act as they do there, through the command line too."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import seeded
from sb3_files import ALGORITHMS, compose, normalized, save_model

from expert.collect import collect
from expert.experts import expert_of, make_expert
from expert.sb3 import load_sb3
from gailfe.storage.names import EVALUATION
from gailfe.storage.store import Store, verify

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")

OBSERVATIONS = np.random.default_rng(0).normal(size=(5, 3)) * [0.5, 0.5, 4.0]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A saved model of every algorithm, by its name in lower case, and its folder."""
    folder = tmp_path_factory.mktemp("models")
    return {"folder": folder, **{name: save_model(folder / f"{name}.zip", name) for name in ALGORITHMS}}


def load(models: dict[str, Any], name: str, *overrides: str) -> Any:
    return load_sb3(compose(models["folder"] / f"{name}.zip", name, *overrides))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_mean_action_is_what_the_model_itself_predicts(models: dict[str, Any], name: str) -> None:
    actions = load(models, name).acting()(OBSERVATIONS)
    expected, _ = models[name].predict(OBSERVATIONS, deterministic=True)
    assert actions.dtype == np.float32
    assert actions.shape == (5, 1)
    assert np.ptp(actions) > 0
    assert np.array_equal(actions, expected)


def numpy_state() -> list[int]:
    """Of NumPy's global generator."""
    state: Any = np.random.get_state()  # noqa: NPY002
    return state[1].tolist()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_sampled_actions_have_the_models_own_noise_drawn_from_the_generator_alone(
    models: dict[str, Any], name: str
) -> None:
    before, numpy_before = torch.get_rng_state(), numpy_state()
    policy = load(models, name)
    act = policy.acting(seeded(7))
    sampled = [act(OBSERVATIONS) for _ in range(3)]
    assert torch.equal(torch.get_rng_state(), before)
    assert numpy_state() == numpy_before
    torch.manual_seed(7)
    expected = [models[name].predict(OBSERVATIONS, deterministic=False)[0] for _ in range(3)]
    assert np.array_equal(sampled, expected)
    noisy = name not in ("TD3", "DDPG", "ARS")
    assert np.array_equal(sampled[0], sampled[1]) is not noisy
    assert np.array_equal(policy.acting(seeded(8))(OBSERVATIONS), sampled[0]) is not noisy


@pytest.mark.parametrize(("every", "drawn"), [(2, [True, False, True]), (-1, [True, False, False])])
def test_state_dependent_exploration_is_reproducible_and_drawn_as_often_as_in_training(
    every: int, drawn: list[bool], tmp_path: Path
) -> None:
    save_model(tmp_path / "gsde.zip", "PPO", use_sde=True, sde_sample_freq=every)
    policy = load_sb3(compose(tmp_path / "gsde.zip", "ppo"))
    first, again = ([act(OBSERVATIONS) for _ in range(3)] for act in (policy.acting(seeded(s)) for s in (0, 0)))
    assert np.array_equal(first, again)
    changes = [not np.array_equal(first[i], first[i - 1]) for i in (1, 2)]
    assert changes == drawn[1:]
    assert not np.array_equal(policy.acting(seeded(1))(OBSERVATIONS), first[0])


def test_observations_are_normalised_as_in_training(models: dict[str, Any], tmp_path: Path) -> None:
    statistics = normalized(tmp_path / "vecnormalize.pkl", clip_obs=1.5).obs_rms
    policy = load(models, "PPO", f"expert.vecnormalize={tmp_path / 'vecnormalize.pkl'}")
    seen = ((OBSERVATIONS - statistics.mean) / np.sqrt(statistics.var + 1e-8)).clip(-1.5, 1.5)
    expected, _ = models["PPO"].predict(seen.astype(np.float32), deterministic=True)
    assert np.array_equal(policy.acting()(OBSERVATIONS), expected)
    torch.manual_seed(3)
    expected, _ = models["PPO"].predict(seen.astype(np.float32), deterministic=False)
    assert np.array_equal(policy.acting(seeded(3))(OBSERVATIONS), expected)


def test_demonstrations_are_the_policys_and_the_same_again(models: dict[str, Any], tmp_path: Path) -> None:
    settings = ["demonstrations.num_trajectories=2", "annotator=terminated", "annotator.needs=[]"]
    noisy = compose(models["folder"] / "SAC.zip", "sac", *settings)
    mean = compose(models["folder"] / "SAC.zip", "sac", *settings, "demonstrations.deterministic=true")
    first, again, smooth = (collect(config, tmp_path)[0].expert for config in (noisy, noisy, mean))
    assert [len(t) for t in first] == [20, 20]
    assert all(np.array_equal(a.actions, b.actions) for a, b in zip(first, again, strict=True))
    for trajectory, is_mean in ((first[0], False), (smooth[0], True)):
        expected, _ = models["SAC"].predict(trajectory.observations[:-1], deterministic=True)
        assert np.allclose(trajectory.actions, expected, atol=1e-6) is is_mean


def test_another_content_is_another_expert_and_another_place_is_not(
    models: dict[str, Any], tmp_path: Path
) -> None:
    moved = tmp_path / "moved.zip"
    moved.write_bytes((models["folder"] / "SAC.zip").read_bytes())
    save_model(tmp_path / "other.zip", "SAC", seed=1)
    first, second = tmp_path / "first.pkl", tmp_path / "second.pkl"
    normalized(first)
    normalized(second, clip_obs=5.0)
    recipe = expert_of(compose(models["folder"] / "SAC.zip", "sac")).recipe()
    assert expert_of(compose(moved, "sac")).recipe() == recipe
    others = [
        expert_of(compose(tmp_path / "other.zip", "sac")).recipe(),
        expert_of(compose(moved, "sac", f"expert.vecnormalize={first}")).recipe(),
        expert_of(compose(moved, "sac", f"expert.vecnormalize={second}")).recipe(),
        expert_of(compose(moved, "sac", "expert.eval_episodes=1")).recipe(),
        expert_of(compose(moved, "sac", "env.max_episode_steps=21")).recipe(),
    ]
    assert len({json.dumps(other) for other in [recipe, *others]}) == 6


def test_the_experts_folder_says_what_it_achieves(models: dict[str, Any], tmp_path: Path) -> None:
    config = compose(models["folder"] / "TD3.zip", "td3", "expert.final_eval_episodes=3")
    folder = make_expert(config, Store(tmp_path))
    verify(folder)
    assert folder.parent == tmp_path / "experts"
    assert json.loads((folder / EVALUATION).read_text())["episodes"] == 3


@pytest.fixture(scope="module")
def hopper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hopper")
    save_model(folder / "sac.zip", "SAC", "Hopper-v5")
    return folder


def command(module: str, hopper: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    """So short an episode ends before an untrained expert has fallen."""
    process = subprocess.run(
        [
            *(sys.executable, "-m", module, "expert=sb3", f"expert.file={hopper / 'sac.zip'}", "expert.algo=sac"),
            *("expert.allow_pickle=true", "env=hopper", "env.max_episode_steps=10", "env.num_iterations=2"),
            *("demonstrations.num_trajectories=2", "algo.steps_per_iteration=64", "tracking=none", "episodes=3"),
            *(f"paths.runs={folder / 'runs'}", f"paths.artifacts={folder / 'artifacts'}", *arguments),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return process.returncode, process.stdout + process.stderr


def test_a_run_goes_through_to_the_end_and_the_other_commands_use_the_same_artefacts(
    hopper: Path, tmp_path: Path
) -> None:
    code, output = command("gailfe.run", hopper, tmp_path)
    assert code == 0, output
    (line,) = tmp_path.glob("runs/**/expert.json")
    assert json.loads(line.read_text())["episodes"] == 20
    assert (line.parent / "summary.json").exists()
    made = sorted(path for path in tmp_path.glob("artifacts/*/hopper-*") if path.is_dir())
    assert [path.parent.name for path in made] == ["demonstrations", "experts"]
    for module, printed in (("expert.collect", made[0]), ("expert.train", made[1])):
        code, output = command(module, hopper, tmp_path)
        assert code == 0, output
        assert output.strip().splitlines()[-1] == str(printed)
    code, output = command("expert.evaluate", hopper, tmp_path)
    assert code == 0, output
    assert json.loads(output.strip().splitlines()[-1])["episodes"] == 3
    code, output = command("expert.publish", hopper, tmp_path)
    assert code == 1
    assert "error: expert=sb3 can't be published" in output
    assert sorted(path for path in tmp_path.glob("artifacts/*/hopper-*") if path.is_dir()) == made


def test_a_run_with_what_does_not_fit_ends_with_one_line_before_any_work(hopper: Path, tmp_path: Path) -> None:
    code, output = command("gailfe.run", hopper, tmp_path, "env=ant")
    assert code == 1
    assert "error: expert.file=" in output
    assert "Traceback" not in output
    assert not (tmp_path / "artifacts").exists()
    assert not list(tmp_path.glob("runs/**/recipe.json"))
