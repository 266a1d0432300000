"""The public functions that let a policy act: `rollout` returns its episodes, `film` shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.actions import same_actions
from gailfe.envs.evaluation import Evaluator
from gailfe.envs.making import check_env
from gailfe.envs.trajectory import Trajectory
from gailfe.given import Environment, environment
from gailfe.library import Policy


def rollout(
    policy: Policy,
    env: Environment,
    episodes: int = 1,
    seed: int = 0,
    max_episode_steps: int | None = None,
    wrappers: Sequence[Any] = (),
) -> list[Trajectory]:
    """Let a policy act by its mean action in new environments, side by side.

    Args:
        env: as for `imitate`.
        episodes: how many.
        seed: of the initial states.
        max_episode_steps: the time limit; None: the one that the environment is registered with.
        wrappers: around the environment, as in `env.wrappers` of the command line.

    Raises:
        ConfigError: if the environment can't be made, or the policy is of another one.
    """
    with _made_for([policy], env, max_episode_steps, wrappers) as config:
        return Evaluator(config, episodes, seed)(policy).trajectories


def film(
    policies: Policy | Mapping[str, Policy],
    env: Environment,
    path: str | Path,
    episodes: int = 5,
    seed: int = 0,
    max_episode_steps: int | None = None,
    wrappers: Sequence[Any] = (),
) -> None:
    """Write a video of a policy's mean actions, or of several policies side by side.

    Args:
        policies: one, or several by their titles, from left to right.
        env, max_episode_steps, wrappers: as for `rollout`.
        path: of the .mp4 file.
        episodes: of each policy, from the same initial states; the one of median return is shown.
        seed: of the initial states.

    Raises:
        ConfigError: as `rollout`; or if the extra `video` or OpenGL is missing, or there are no frames.
    """
    from expert.video import encoder
    from expert.watch import film_policies

    if Path(path).suffix != ".mp4":
        raise ConfigError(f"path={path} must end in .mp4")
    encoder()  # before the work
    named = {"policy": policies} if isinstance(policies, Policy) else policies
    with _made_for(list(named.values()), env, max_episode_steps, wrappers) as config:
        film_policies(config, list(named.items()), episodes, seed, Path(path))


@contextlib.contextmanager
def _made_for(
    policies: Sequence[Policy], env: Environment, max_episode_steps: int | None, wrappers: Sequence[Any]
) -> Iterator[EnvConfig]:
    """While this lasts, the environment can be made. Raises ConfigError if a policy is not of it."""
    with environment(env) as keys:
        config = EnvConfig(**keys, wrappers=list(wrappers))
        config.max_episode_steps = max_episode_steps or config.max_episode_steps
        spaces = check_env(config)
        for policy in policies:
            if spaces.observation_dim != policy.observation_dim:
                raise ConfigError(
                    f"the policy takes observations of {policy.observation_dim} numbers, those of "
                    f"env.id={config.id} have {spaces.observation_dim}"
                )
            if not same_actions(spaces.action, policy.action_space):
                raise ConfigError(
                    f"the policy's actions are {policy.action_space}, those of env.id={config.id} {spaces.action}"
                )
        yield config
