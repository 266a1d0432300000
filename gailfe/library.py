"""GAIL and GAILFE from Python, without a command line. gailfe/__init__.py lists all that is public."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch

from expert.own_data import own_expert_record
from expert.pretrained import PRETRAINED, packaged
from gailfe.config.keys import ConfigError
from gailfe.config.schema import AnnotatorConfig
from gailfe.config.writable import check_folder
from gailfe.envs.trajectory import Annotator, Demonstrations
from gailfe.given import Environment, Given, configure, digest, environment, trajectories
from gailfe.learned import check_policy
from gailfe.nn.acting import Act
from gailfe.nn.onnx_file import save_onnx
from gailfe.nn.policy_file import POLICY_FILES, read_policy, save_policy, saved_iteration
from gailfe.nn.stochastic import StochasticPolicy
from gailfe.pipeline import held
from gailfe.pipeline import imitate as run_stage_3
from gailfe.processes.stopping import Stopped, forget
from gailfe.storage.files import remove_partials, write_json
from gailfe.storage.names import EXPERT_RECORD, METRICS
from gailfe.storage.recipe import is_finished, run_recipe
from gailfe.storage.store import artifact_key
from gailfe.storage.tracking import Row, read_rows


class Policy:
    """A learned policy, which acts as those of Stable-Baselines3 do.

    Attributes:
        metrics: a row for each iteration of its training, as in metrics.csv; empty where they aren't known.
    """

    def __init__(self, network: StochasticPolicy, metrics: Sequence[Row] = (), seed: int = 0) -> None:
        self._network = network
        self._mean = network.acting()
        self._noisy = network.acting(torch.Generator().manual_seed(seed))
        self.metrics = list(metrics)

    @property
    def observation_dim(self) -> int:
        return self._network.normalizer.mean.shape[0]

    @property
    def action_space(self) -> gymnasium.Space:
        return self._network.action_space

    def predict(
        self,
        observation: np.ndarray,
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = True,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...] | None]:
        """Return the actions for one raw observation, or for several.

        Args:
            observation: (obs_dim,) or (n, obs_dim).
            state: returned as it is: the policy has no memory, and doesn't look at `episode_start` either.
            deterministic: the mean action, or the likeliest one of discrete actions, instead of a drawn one.

        Returns:
            (action_dim,) or (n, action_dim) float32, within the bounds of the action space; of discrete actions
            an integer, or (n,) int64; and `state`.

        Raises:
            ValueError: if the observation has another shape.
        """
        rows = np.asarray(observation, dtype=np.float64)
        if rows.ndim not in (1, 2) or rows.shape[-1] != self.observation_dim:
            raise ValueError(
                f"observation must have shape ({self.observation_dim},) or (n, {self.observation_dim}), "
                f"got {rows.shape}"
            )
        act = self._mean if deterministic else self._noisy
        actions = act(np.atleast_2d(rows))
        return (actions[0] if rows.ndim == 1 else actions), state

    def acting(self, generator: torch.Generator | None = None) -> Act:
        """See `gailfe.nn.acting.CanAct`."""
        return self._network.acting(generator)

    def save(self, folder: str | Path) -> None:
        """Write it to `folder`, for `load_policy`."""
        save_policy(Path(folder), self._network)

    def to_onnx(self, file: str | Path) -> None:
        """Write the mean action, as `predict` gives it, to an ONNX file: `observation` (n, obs_dim) → `action`.

        Raises:
            ConfigError: without the extra `onnx`.
            RuntimeError: if onnxruntime computes other actions than this policy.
        """
        save_onnx(Path(file), self._network)


def load_policy(folder: str | Path) -> Policy:
    """Load the policy of a run's folder, also of a run that is still going, of an expert's, or of `Policy.save`'s.

    Raises:
        ConfigError: if there is none.
        ArtifactError: if a file of it is damaged.
    """
    missing = [name for name in POLICY_FILES if not Path(folder, name).is_file()]
    if missing:
        raise ConfigError(f"folder={folder} must be the folder of a policy: it has no {missing[0]}")
    check_policy(Path(folder), saved_iteration(Path(folder)))
    return Policy(read_policy(Path(folder)), read_rows(Path(folder, METRICS)))


def load_expert(env: str) -> Policy:
    """Load an expert that comes with the package: of hopper, halfcheetah, walker2d or ant.

    Raises:
        ConfigError: if the package has none of that name.
    """
    if not (PRETRAINED / env).is_dir():
        raise ConfigError(f"env={env}: the package has no expert of it; valid: {', '.join(packaged())}")
    return load_policy(PRETRAINED / env)


def imitate(
    env: Environment,
    demonstrations: Given,
    failures: Given | None = None,
    *,
    algo: str = "gailfe",
    num_iterations: int | None = None,
    max_episode_steps: int | None = None,
    annotator: str | Annotator | None = None,
    seed: int = 0,
    folder: str | Path | None = None,
    **overrides: Any,
) -> Policy:
    """Learn to act from demonstrations, with the settings of conf/.

    Args:
        env: an id of Gymnasium, an environment that was made of one, or a function that makes an environment.
        demonstrations: the folder or the id of a Minari dataset, or a loaded one; a dict of arrays in the layout
            of expert/arrays.py; or a list of `Trajectory`. Observations are raw.
        failures: failed ones, in the same forms, for GAILFE; None: β_F begins empty.
        algo: gail, gailfe, bc or another file of conf/algo/.
        num_iterations: None: that of the file of conf/env/ with this id.
        max_episode_steps: the time limit; None: the one that the environment is registered with.
        annotator: which of the agent's own episodes are failures: the name of a file of conf/annotator/, or a
            function `(trajectory) -> bool`; None: the one of the environment's file, or else `terminated`.
        seed: of the training.
        folder: where metrics.csv, checkpoints and the policy are written. Given again, it goes on from the last
            checkpoint. None: nothing is kept.
        overrides: other keys, as on the command line: `**{"algo.num_envs": 4}`.

    Raises:
        ConfigError: for what can't be learned from, or a wrong key or value; it is a ValueError.
        KeyboardInterrupt: after Ctrl-C, when the iteration is done and saved.
    """
    own = annotator if callable(annotator) else None
    named = None if callable(annotator) else annotator
    with _one_thread(), environment(env) as keys, _folder(folder) as where:
        if max_episode_steps is not None:
            keys = {**keys, "max_episode_steps": max_episode_steps}
        config = configure(keys, algo, named, num_iterations, seed, overrides)
        if own is not None:
            name = getattr(own, "__qualname__", type(own).__qualname__)
            config.annotator = AnnotatorConfig(name=name, function=f"{own.__module__}.{name}")
        expert = trajectories(demonstrations, "dataset", config)
        failed = [] if failures is None else trajectories(failures, "failed_dataset", config)
        recipe = run_recipe(config, artifact_key({"expert": digest(expert), "failed": digest(failed)}))
        where.mkdir(parents=True, exist_ok=True)
        try:
            with held(where, wait=False):
                if not is_finished(where, recipe, config.env.num_iterations):
                    remove_partials(where)
                    write_json(where / EXPERT_RECORD, own_expert_record(expert))
                    run_stage_3(config, where, Demonstrations(expert, failed), recipe, own)
        except Stopped as stopped:
            forget()  # this process lives on
            raise KeyboardInterrupt(str(stopped)) from stopped
        return load_policy(where)


@contextlib.contextmanager
def _folder(given: str | Path | None) -> Iterator[Path]:
    """The folder that is given, or one that lasts as long as this."""
    if given is not None:
        check_folder("folder", given)
        yield Path(given)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """The networks are too small for more threads; the caller's number is back at the end."""
    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
