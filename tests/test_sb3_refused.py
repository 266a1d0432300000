"""Experts of Stable-Baselines3: what is refused before any work, and in which words."""

from __future__ import annotations

import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.classic_control import PendulumEnv
from sb3_files import compose, normalized, save_model

from expert.experts import make_expert
from expert.sb3 import load_sb3
from gailfe.config.keys import ConfigError
from gailfe.storage.store import Store

pytest.importorskip("stable_baselines3")
pytest.importorskip("sb3_contrib")


@pytest.fixture(scope="module")
def sac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "SAC.zip"
    save_model(path, "SAC")
    return path


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["expert.file=nowhere.zip"], r"expert\.file=nowhere\.zip must be a file"),
        (["expert.file=TEXT"], r"expert\.file=.* must be a \.zip that Stable-Baselines3's model\.save wrote"),
        (["expert.file=LIST"], r"expert\.file=.* must be a \.zip that Stable-Baselines3's .*TypeError"),
        (["expert.file=NUMBERS"], r"expert\.file=.* must be a \.zip that Stable-Baselines3's .*TypeError"),
        (["expert.file=SPACE"], r"expert\.file=.* must be a \.zip that Stable-Baselines3's .*AttributeError"),
        (["expert.file=FLIPPED"], r"expert\.file=.* must be a \.zip that Stable-Baselines3's .*decompressing"),
        (["expert.file=OTHER"], r"expert\.file=.* must be a \.zip .* 'data'"),
        (
            ["expert.algo=ppo"],
            r"expert\.algo=ppo: .* the algorithm that saved .* stable_baselines3\.sac\.policies",
        ),
        (
            ["env=hopper"],
            r"the observations of env\.id=Hopper-v5 are a Box of shape \(11,\), .* got a Box of shape \(3,\)",
        ),
        (
            ["expert.file=ACTIONS", "expert.algo=ppo"],
            r"the actions of .* a Box of shape \(1,\), .* got a Box of shape \(2,\)",
        ),
        (["expert.file=DISCRETE", "expert.algo=ppo"], r"the actions of .* got .*Discrete"),
        (
            ["expert.file=BOUNDS", "expert.algo=ppo"],
            r"the actions of .* a Box of low \[-2\.0\], .* got a Box of low \[-1\.0\]",
        ),
        (["expert.vecnormalize=nowhere.pkl"], r"expert\.vecnormalize=nowhere\.pkl must be a file"),
        (["expert.vecnormalize=TEXT"], r"expert\.vecnormalize=.* must be what .* VecNormalize\.save wrote"),
        (["expert.vecnormalize=PICKLE"], r"expert\.vecnormalize=.* must be what .* VecNormalize\.save wrote"),
        (
            ["expert.vecnormalize=HOPPER"],
            r"the observations of .* a Box of shape \(3,\), .* got a Box of shape \(11,\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_any_work(
    overrides: list[str], said: str, sac: Path, wrong: Path, tmp_path: Path
) -> None:
    placed = [
        f"{o.split('=')[0]}={wrong / o.split('=')[1]}" if o.split("=")[1].isupper() else o for o in overrides
    ]
    with pytest.raises(ConfigError, match=said):
        make_expert(compose(sac, "sac", *placed), Store(tmp_path / "artifacts"))
    assert not (tmp_path / "artifacts").exists()


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files that are something else."""
    folder = tmp_path_factory.mktemp("wrong")
    (folder / "TEXT").write_text("not a zip")
    (folder / "PICKLE").write_bytes(pickle.dumps([1]))
    with zipfile.ZipFile(folder / "OTHER", "w") as archive:
        archive.writestr("weights", "nothing")
    other = {"policy_class": {"__module__": "x"}, "observation_space": "Box", "action_space": None}
    for name, content in {"LIST": [1], "NUMBERS": {**other, "policy_class": 5}, "SPACE": other}.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            archive.writestr("data", json.dumps(content))
    with zipfile.ZipFile(folder / "FLIPPED", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("data", json.dumps(other))
    content = bytearray((folder / "FLIPPED").read_bytes())
    content[len("data") + 30] ^= 0xFF  # after the header: the first byte of what is compressed
    (folder / "FLIPPED").write_bytes(content)
    normalized(folder / "HOPPER", "Hopper-v5")
    for name, space in (
        ("ACTIONS", gymnasium.spaces.Box(-2, 2, (2,))),
        ("DISCRETE", gymnasium.spaces.Discrete(3)),
        ("BOUNDS", gymnasium.spaces.Box(-1, 1, (1,))),
    ):
        gymnasium.register("Acts-v0", lambda space=space: acting_in(space))  # type: ignore[arg-type]
        save_model(folder / f"{name}.zip", "PPO", "Acts-v0")
        (folder / f"{name}.zip").rename(folder / name)
        del gymnasium.registry["Acts-v0"]
    return folder


def acting_in(space: Any) -> Any:
    """Pendulum's observations with another action space."""
    env: gymnasium.Env = PendulumEnv()
    env.action_space = space
    return env


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "expert.allow_pickle=false",
            "expert.allow_pickle=false: .* can run any code .* expert.allow_pickle=true",
        ),
        ("expert.algo=reinforce", "expert.algo=reinforce must be one of a2c, .*sac"),
        ("expert.algo=null", "expert.algo=None must be one of a2c, .*sac"),
        ("expert.file=null", "expert.file=None must be the .zip"),
        ("expert.final_eval_episodes=0", "expert.final_eval_episodes=0 must be at least 1"),
    ],
)
def test_keys_are_checked_with_the_rest_of_the_configuration(override: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(tmp_path / "unread.zip", "sac", override)


@pytest.mark.parametrize("package", ["stable_baselines3", "sb3_contrib"])
def test_a_missing_package_names_the_extra(package: str, sac: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=r"extra `sb3`: pip install -c constraints.txt -e '.\[sb3\]'"):
        load_sb3(compose(sac, "sac"))
