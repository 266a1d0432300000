"""An expert that was trained with Stable-Baselines3 or sb3-contrib: `expert=sb3`.

Both packages are the extra `sb3`, imported only where such an expert is used.
"""

from __future__ import annotations

import importlib
import json
import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box, Discrete

from expert.experts import Expert, ExpertConfig, record_evaluation
from gailfe.config.extras import install
from gailfe.config.keys import ENVIRONMENTS, ConfigError, key
from gailfe.config.schema import Config
from gailfe.envs.actions import as_actions
from gailfe.envs.evaluation import FRESH_SEED, Evaluator
from gailfe.envs.making import spaces_of
from gailfe.nn.acting import Act
from gailfe.storage.store import file_checksum

# Of no use without training: not unpickled, since functions of another Python can't be, and buffers can be large.
UNUSED = {"learning_rate": 0.0, "lr_schedule": 0.0, "clip_range": 0.2, "buffer_size": 1, "seed": None}
# DQN's exploration draws from NumPy's and the space's own random numbers, which our seeds don't decide: no more.
UNUSED |= {"exploration_schedule": 0.0, "exploration_rate": 0.0}

ALGORITHMS = ("a2c", "ars", "crossq", "ddpg", "dqn", "ppo", "qrdqn", "sac", "td3", "tqc", "trpo")


@dataclass
class SB3Config(ExpertConfig):
    """The keys of expert=sb3."""

    file: str | None = key("the .zip that model.save wrote")
    algo: str | None = key("the algorithm that saved it, in lower case")
    vecnormalize: str | None = key("the file of its VecNormalize; null: it was trained without")
    allow_pickle: bool = key("whether these files may run code when they are loaded")
    final_eval_episodes: int = key("episodes of the expert's evaluation on record", ENVIRONMENTS)

    def check(self) -> None:
        """Raise ConfigError where a key that must be given is missing; the files are not read yet."""
        if self.file is None:
            raise ConfigError("expert.file=None must be the .zip that Stable-Baselines3's model.save wrote")
        if self.algo not in ALGORITHMS:
            raise ConfigError(f"expert.algo={self.algo} must be one of {', '.join(ALGORITHMS)}")
        if not self.allow_pickle:
            raise ConfigError(
                f"expert.allow_pickle=false: expert.file={self.file} holds pickles, which can run any code "
                "when they are loaded; expert.allow_pickle=true says that you trust where it comes from"
            )


class SB3Expert(Expert):
    """A file of Stable-Baselines3. It stays where it is; the expert's folder holds what it achieves."""

    Config = SB3Config

    def check(self) -> None:
        load_sb3(self.config)

    def made_from(self) -> dict[str, Any]:
        """Return the content of its files, by checksums, and what decides its evaluations."""
        expert: SB3Config = self.config.expert
        files = {"file": expert.file, "vecnormalize": expert.vecnormalize}
        return {
            "algo": expert.algo,
            **{name: file_checksum(Path(path)) if path else None for name, path in files.items()},
            "eval_episodes": expert.eval_episodes,
            "final_eval_episodes": expert.final_eval_episodes,
        }

    def fill(self, folder: Path) -> None:
        episodes = self.config.expert.final_eval_episodes
        evaluation = Evaluator(self.config.env, episodes, FRESH_SEED)(load_sb3(self.config))
        record_evaluation(folder, {"episodes": episodes, **evaluation.metrics})

    def load(self, folder: Path) -> SB3Policy:
        return load_sb3(self.config)


class SB3Policy:
    """A model of Stable-Baselines3 as stage 2 sees it.

    Args:
        model: a loaded algorithm.
        normalize: the VecNormalize that it was trained behind, if any.
    """

    def __init__(self, model: Any, normalize: Any | None) -> None:
        self._model, self._normalize = model, normalize

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """Raw observations (n, obs_dim) → actions (n, action_dim), or (n,), as the environment receives them.

        Args:
            generator: of the policy's own noise, which TD3, DDPG, ARS, DQN and QR-DQN don't have; None acts with
                its mean or mode.
        """
        if generator is None:
            return lambda observations: self._predict(observations, deterministic=True)
        steps = 0

        def act(observations: np.ndarray) -> np.ndarray:
            nonlocal steps
            with torch.random.fork_rng(devices=[]):  # these policies sample with torch's global generator only
                torch.set_rng_state(generator.get_state())
                if self._model.use_sde and _draws_exploration(steps, self._model.sde_sample_freq):
                    self._model.policy.reset_noise()
                actions = self._predict(observations, deterministic=False)
                generator.set_state(torch.get_rng_state())
            steps += 1
            return actions

        return act

    def _predict(self, observations: np.ndarray, deterministic: bool) -> np.ndarray:
        if self._normalize is not None:
            observations = self._normalize.normalize_obs(observations)
        actions, _ = self._model.predict(observations, deterministic=deterministic)
        return as_actions(np.asarray(actions), self._model.action_space)


def load_sb3(config: Config) -> SB3Policy:
    """Return the configured policy.

    Raises:
        ConfigError: if a package or a file is missing, or the file is not what the configuration says, or doesn't
            fit the environment.
    """
    expert: SB3Config = config.expert
    algorithm = _algorithm(expert)
    spaces = spaces_of(config.env)
    file = f"expert.file={expert.file}"
    saved = _saved(_existing("file", expert.file), file)
    _check_same(file, config, "observations", _told_space(spaces.observation), saved.observations)
    _check_same(file, config, "actions", _told_space(spaces.action), saved.actions)
    try:
        with torch.random.fork_rng(devices=[]):  # building the networks draws weights, before those of the file
            model = algorithm.load(expert.file, device="cpu", custom_objects=UNUSED)
    except Exception as error:  # unpickling, or a policy of another kind, can raise anything
        raise ConfigError(
            f"{file} can't be loaded with expert.algo={expert.algo}: it must be the algorithm that saved the file "
            f"(its policy is from {saved.module}), with Stable-Baselines3 2 ({_told(error)})"
        ) from error
    for bound in ("low", "high") if isinstance(spaces.action, Box) else ():
        ours, theirs = (getattr(s, bound) for s in (spaces.action, model.action_space))
        if not np.allclose(ours, theirs):
            _check_same(file, config, "actions", *(f"a Box of {bound} {b.tolist()}" for b in (ours, theirs)))
    return SB3Policy(model, _vecnormalize(config, spaces.observation))


def _draws_exploration(step: int, every: int) -> bool:
    """Return whether state-dependent exploration (gSDE) draws a new matrix; −1, once a rollout, is once here."""
    return step % every == 0 if every > 0 else step == 0


def _algorithm(expert: SB3Config) -> Any:
    try:
        packages = [importlib.import_module(name) for name in ("stable_baselines3", "sb3_contrib")]
    except ImportError as error:
        raise ConfigError(f"expert=sb3 needs the extra `sb3`: {install('sb3')} ({error})") from error
    classes = {name.lower(): getattr(package, name) for package in packages for name in package.__all__}
    return classes[str(expert.algo)]


def _existing(key: str, path: str | None) -> Path:
    if path is None or not Path(path).is_file():
        raise ConfigError(f"expert.{key}={path} must be a file, and there is none of that name")
    return Path(path)


class Saved(NamedTuple):
    """What the plain part of a saved model tells."""

    observations: str  # as `_told_space` tells of a space
    actions: str
    module: str  # of the policy's class


def _saved(path: Path, named: str) -> Saved:
    """Read the plain JSON part of a saved model; nothing is unpickled here."""
    try:
        with zipfile.ZipFile(path) as archive:
            data = json.loads(archive.read("data"))
        module = data["policy_class"]["__module__"]
        return Saved(_told_saved(data["observation_space"]), _told_saved(data["action_space"]), module)
    except Exception as error:  # of a damaged file, zipfile, zlib and JSON each raise their own
        raise ConfigError(
            f"{named} must be a .zip that Stable-Baselines3's model.save wrote ({_told(error)})"
        ) from error


def _vecnormalize(config: Config, space: gymnasium.spaces.Box) -> Any | None:
    if config.expert.vecnormalize is None:
        return None
    named = f"expert.vecnormalize={config.expert.vecnormalize}"
    path = _existing("vecnormalize", config.expert.vecnormalize)
    try:
        with path.open("rb") as file:
            loaded = pickle.load(file)
        shape = loaded.observation_space.shape
        loaded.normalize_obs(np.zeros((1, *shape)))
    except Exception as error:  # unpickling raises anything
        raise ConfigError(
            f"{named} must be what Stable-Baselines3's VecNormalize.save wrote ({_told(error)})"
        ) from error
    _check_same(named, config, "observations", _told_space(space), f"a Box of shape {shape}")
    return loaded


def _told_space(space: gymnasium.Space[Any]) -> str:
    if isinstance(space, Discrete):
        return f"a Discrete of {space.n} from {space.start} on"
    return f"a Box of shape {space.shape}"


def _told_saved(space: dict[str, Any]) -> str:
    """Return what `_told_space` does, of a space in the plain part of a file."""
    kind = space.get(":type:", "")
    if "Discrete" in kind and "Multi" not in kind:
        return f"a Discrete of {space.get('n')} from {space.get('start')} on"
    return f"a Box of shape {tuple(space.get('_shape') or ())}" if "Box" in kind else kind


def _check_same(named: str, config: Config, what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise ConfigError(
            f"{named}: the {what} of env.id={config.env.id} are {ours}, and the expert's must be too, got {theirs}"
        )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
