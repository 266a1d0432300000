"""`python -m expert.watch env=hopper` films an expert and a failed episode side by side.

The episodes are demonstrations: the expert's and the failed one of median return. They are replayed from their
initial states with their stored actions; each step is checked against the stored observations and rewards.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import gymnasium
import numpy as np

from expert.collect import initial_state_seeds, make_demonstrations
from expert.demonstrations import load_demonstrations
from expert.experts import make_expert
from expert.rendering import CannotRender, make_render_env, render
from expert.video import captioned, encoder, side_by_side, write_video
from gailfe.commands import command
from gailfe.config.schema import Config, EnvConfig
from gailfe.envs.evaluation import FRESH_SEED, Evaluator, episode_seeds
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.vector import env_seeds
from gailfe.nn.acting import CanAct
from gailfe.storage.store import Store

log = logging.getLogger(__name__)

FPS = 30  # approximately: a frame is shown after a whole number of steps
MAX_SECONDS = 20  # longer episodes are shown faster


def watch(config: Config, demonstrations: Demonstrations, path: Path) -> None:
    """Write the video; without a failed episode, of the expert alone.

    Raises:
        CannotRender: if the encoder or OpenGL is missing, or an episode can't be replayed exactly.
    """
    shown = [("expert", representative(demonstrations.expert))]
    if demonstrations.failed:
        shown.append((f"failed by {config.annotator.name}", representative(demonstrations.failed)))
    else:
        log.info("no episode failed by annotator=%s: the video shows the expert alone", config.annotator.name)
    settings = config.demonstrations
    seeds = [env_seeds(seed, 1)[0] for seed in initial_state_seeds(settings)]
    max_resets = max(settings.max_attempts, settings.earlier_episodes)
    film(config.env, shown, seeds, max_resets, path)


def film(
    config: EnvConfig, shown: Sequence[tuple[str, Trajectory]], seeds: Sequence[int], max_resets: int, path: Path
) -> None:
    """Write a video of episodes side by side, replayed from their initial states with their actions.

    Args:
        config: of the environment of all of them.
        shown: titles and episodes, from left to right.
        seeds: with which their environments were reset at the start.
        max_resets: how many resets to try from each seed.
        path: of the video.

    Raises:
        CannotRender: if the encoder or OpenGL is missing, or an episode can't be replayed exactly.
    """
    with contextlib.ExitStack() as stack:
        envs = [stack.enter_context(contextlib.closing(make_render_env(config))) for _ in shown]
        steps = max(len(trajectory) for _, trajectory in shown)
        stride, fps, speed = pace(steps, float(envs[0].metadata.get("render_fps", FPS)))
        sources = []
        for env, (title, trajectory) in zip(envs, shown, strict=True):
            detail = f"return {trajectory.total_reward:,.0f}, {len(trajectory)} steps"
            log.info("%s: the episode of median return, %s", title, detail)
            rewind(env, trajectory, seeds, max_resets)
            frames = replay(env, trajectory, stride)
            sources.append(captioned(frames, title, detail + (f", {speed:.1f}x speed" if speed > 1 else "")))
        write_video(path, side_by_side(*sources), fps)


def film_policies(
    config: EnvConfig, policies: Sequence[tuple[str, CanAct]], episodes: int, seed: int, path: Path
) -> None:
    """Write a video of the mean actions of policies side by side: of each, the episode of median return.

    Args:
        config: of the environment of all of them.
        policies: with their titles, from left to right.
        episodes: of each, from the same initial states, which no evaluation of a training has.
        seed: of the initial states.
        path: of the video.

    Raises:
        CannotRender: as `film`.
    """
    make_render_env(config).close()  # before the episodes
    evaluate = Evaluator(config, episodes, FRESH_SEED + seed)
    shown = [(title, representative(evaluate(policy).trajectories)) for title, policy in policies]
    film(config, shown, episode_seeds(FRESH_SEED + seed, 0, episodes), 1, path)


def representative(trajectories: Sequence[Trajectory]) -> Trajectory:
    """Return the one of median return (of an even number, the lower of the middle two)."""
    return sorted(trajectories, key=lambda t: t.total_reward)[(len(trajectories) - 1) // 2]


def pace(steps: int, render_fps: float) -> tuple[int, float, float]:
    """Choose the speed that shows an episode in at most MAX_SECONDS.

    Args:
        steps: of the episode.
        render_fps: steps a second in real time.

    Returns:
        Steps from frame to frame, frames a second, and how much faster than real time that is.
    """
    speed = max(1.0, steps / render_fps / MAX_SECONDS)
    stride = max(1, round(render_fps * speed / FPS))
    return stride, render_fps * speed / stride, speed


def rewind(env: gymnasium.Env, trajectory: Trajectory, seeds: Sequence[int], max_resets: int) -> None:
    """Reset `env` until its state is the initial state of `trajectory`.

    Only resets draw from the environment's random numbers, so the steps between them can be left out.

    Args:
        seeds: where the collection's environments started.
        max_resets: how many resets to try from each seed.

    Raises:
        CannotRender: if no reset gives that state.
    """
    for seed, attempt in itertools.product(seeds, range(max_resets)):
        observation, _ = env.reset(seed=seed) if attempt == 0 else env.reset()
        if np.array_equal(observation, trajectory.observations[0]):
            return
    raise CannotRender(
        f"none of the first {max_resets} episodes of {_id(env)} begins as the demonstration does: its steps draw "
        "random numbers, or it has changed since"
    )


def replay(env: gymnasium.Env, trajectory: Trajectory, stride: int = 1) -> Iterator[np.ndarray]:
    """Yield frames of an episode: the first, then one after every `stride` steps, and the last.

    Args:
        env: in the initial state of `trajectory`.

    Raises:
        CannotRender: at a step whose observation or reward is not the stored one, to the last bit.
    """
    yield render(env)
    for step, action in enumerate(trajectory.actions, start=1):
        observation, reward, *_ = env.step(action)
        same = np.array_equal(observation, trajectory.observations[step])
        if not same or reward != trajectory.rewards[step - 1]:
            raise CannotRender(
                f"step {step} of the demonstration can't be replayed exactly: {_id(env)} is not deterministic, or "
                "it has changed since"
            )
        if step % stride == 0 or step == len(trajectory):
            yield render(env)


def _id(env: gymnasium.Env) -> str:
    return env.spec.id if env.spec else str(env)


USAGE = """\
python -m expert.watch [key=value ...]

Films an expert and a failed demonstration side by side, and prints the path of the video.

  python -m expert.watch env=hopper
"""


@command(USAGE, listens=False)
def main(config: Config) -> None:
    encoder()  # before an expert is trained
    make_render_env(config.env).close()
    store = Store(Path(config.paths.artifacts))
    folder = make_demonstrations(config, store, make_expert(config, store))
    path = Path(config.paths.artifacts, "videos", f"{config.env.name}.mp4")
    watch(config, load_demonstrations(folder), path)
    print(path)


if __name__ == "__main__":
    main()
