"""`python -m expert.watch`: which episodes it shows, how it replays and composes them, and what it needs."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import user_envs  # noqa: F401  (registers Drawn-v0)
from gymnasium.envs.mujoco import MujocoEnv
from helpers import HOPPER, compose, make_policy, make_trajectory, seeded

from expert import rendering
from expert.collect import initial_state_seeds
from expert.rendering import CannotRender, choose_gl, follow, make_render_env
from expert.video import CAPTION, GAP, captioned, side_by_side, write_video
from expert.watch import pace, replay, representative, rewind, watch
from gailfe.config.schema import Config, EnvConfig
from gailfe.envs.making import make_env
from gailfe.envs.rollout import Collector
from gailfe.envs.trajectory import Demonstrations, Trajectory
from gailfe.envs.vector import VectorEnv, env_seeds

SEED = 3
DRAWN = EnvConfig(name="drawn", id="Drawn-v0", num_iterations=1)


def episodes(config: EnvConfig, count: int, seed: int = SEED) -> list[Trajectory]:
    """As expert/collect.py gets them."""
    env = VectorEnv(config, 1, seed)
    policy = make_policy(env.observation_dim, space=env.action_space)
    collector, generator = Collector(env), seeded(0)
    found: list[Trajectory] = []
    while len(found) < count:
        found += collector.collect(policy, 64, generator).finished
    return found[:count]


@pytest.fixture
def no_frames(monkeypatch):
    """Replays without OpenGL."""
    monkeypatch.setattr("expert.watch.render", lambda env: np.zeros((2, 2, 3), np.uint8))


@pytest.mark.parametrize(
    "config", [HOPPER, EnvConfig(name="p", id="Pendulum-v1", num_iterations=1), DRAWN], ids=lambda c: c.id
)
def test_collected_episode_is_replayed_exactly_from_its_place_among_the_resets(config, no_frames):
    env = make_env(config)
    if isinstance(env.unwrapped, MujocoEnv):
        follow(env.unwrapped)
    for trajectory in reversed(episodes(config, 5)):
        rewind(env, trajectory, env_seeds(SEED, 1), max_resets=5)
        assert len(list(replay(env, trajectory))) == len(trajectory) + 1  # it checks every step


def test_an_episode_of_an_earlier_checkpoint_is_found_again(no_frames):
    settings = compose(f"demonstrations.seed={SEED}", "demonstrations.earlier_checkpoints=2").demonstrations
    seeds = initial_state_seeds(settings)
    trajectory = episodes(HOPPER, 2, seeds[2])[1]
    env = make_env(HOPPER)
    rewind(env, trajectory, [env_seeds(seed, 1)[0] for seed in seeds], max_resets=2)
    assert len(list(replay(env, trajectory))) == len(trajectory) + 1


def test_episode_that_cannot_be_replayed_is_refused(no_frames):
    env = make_env(HOPPER)
    trajectory = episodes(HOPPER, 2)[1]
    with pytest.raises(CannotRender, match="none of the first 1 episodes of Hopper-v5"):
        rewind(env, trajectory, env_seeds(SEED, 1), max_resets=1)
    rewind(env, trajectory, env_seeds(SEED, 1), max_resets=2)
    trajectory.rewards[3] += 1e-12
    with pytest.raises(CannotRender, match=r"step 4 .* Hopper-v5 is not deterministic"):
        list(replay(env, trajectory))


def test_frames_are_the_first_every_stride_and_the_last():
    trajectory = long_episode()
    env = make_render_env(DRAWN)
    rewind(env, trajectory, env_seeds(SEED, 1), max_resets=40)
    assert [frame[0, 0, 0] for frame in replay(env, trajectory, stride=5)] == [0, 5, 10, 12]


def long_episode() -> Trajectory:
    return next(t for t in episodes(DRAWN, 40) if len(t) == 12)


def test_representative_has_the_median_return():
    trajectories = [make_trajectory(5, seed=seed) for seed in range(6)]
    chosen = representative(trajectories)
    assert sum(t.total_reward < chosen.total_reward for t in trajectories) == 2
    assert representative(trajectories[:1]) is trajectories[0]


@pytest.mark.parametrize(
    ("steps", "render_fps", "expected"),
    [
        (1000, 125, (4, 31.25, 1.0)),  # Hopper
        (1000, 20, (2, 25.0, 2.5)),  # HalfCheetah: 50 s in 20
        (200, 30, (1, 30.0, 1.0)),  # Pendulum
    ],
)
def test_pace_keeps_real_time_unless_that_takes_too_long(steps, render_fps, expected):
    assert pace(steps, render_fps) == expected


def frames(count: int, shape: tuple[int, int] = (31, 40), start: int = 1) -> list[np.ndarray]:
    return [np.full((*shape, 3), start + i, dtype=np.uint8) for i in range(count)]


def test_side_by_side_holds_the_last_frame_of_the_shorter():
    pictures = list(side_by_side(frames(4), frames(2, start=100)))
    assert [(p[0, 0, 0], p[0, 40 + GAP, 0]) for p in pictures] == [(1, 100), (2, 101), (3, 101), (4, 101)]
    assert {p.shape for p in pictures} == {(32, 40 + GAP + 40, 3)}  # height made even


def test_one_source_stands_alone():
    assert [p.shape for p in side_by_side(frames(3, (30, 41)))] == [(30, 42, 3)] * 3


def test_caption_stands_above_the_frame():
    pytest.importorskip("PIL")
    (picture,) = captioned(frames(1, (60, 200)), "expert", "return 1, 2 steps")
    assert picture.shape == (CAPTION + 60, 200, 3)
    assert picture[: CAPTION // 2].max() == 255
    assert picture[CAPTION // 2 : CAPTION].max() > 200
    assert (picture[CAPTION:] == 1).all()


def config(**env: object) -> Config:
    chosen = [f"demonstrations.seed={SEED}", "demonstrations.max_attempts=40"]
    composed = compose("annotator=terminated", *chosen)
    return dataclasses.replace(composed, env=EnvConfig(**{**vars(DRAWN), **env}))


def sizes(path: Path) -> tuple[tuple[int, int], int]:
    reader = pytest.importorskip("imageio_ffmpeg").read_frames(str(path))
    return next(reader)["size"], len(list(reader))


@pytest.mark.parametrize("failed", [True, False])
def test_video_shows_both_episodes_or_says_that_none_failed(failed, tmp_path, caplog):
    pytest.importorskip("imageio_ffmpeg")
    found = episodes(DRAWN, 40)
    expert, fallen = ([t for t in found if t.terminated is value] for value in (False, True))
    caplog.set_level("INFO")
    watch(config(), Demonstrations(expert, fallen if failed else []), tmp_path / "videos" / "drawn.mp4")
    assert sizes(tmp_path / "videos" / "drawn.mp4") == ((88 if failed else 40, CAPTION + 32), 13)
    assert ("no episode failed by annotator=terminated" in caplog.text) is not failed
    assert ("failed by terminated: the episode of median return" in caplog.text) is failed


def test_interrupted_video_leaves_the_old_one(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    path = tmp_path / "video.mp4"
    path.write_text("old")
    stochastic = config(kwargs={"noise": 0.1})
    with pytest.raises(CannotRender, match="not deterministic"):
        watch(stochastic, Demonstrations([long_episode()], []), path)
    assert path.read_text() == "old"


def test_missing_encoder_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(CannotRender, match=r"extra `video`: pip install -c constraints.txt -e '.\[video\]'"):
        write_video(tmp_path / "video.mp4", frames(1, (2, 2)), 30)
    assert not list(tmp_path.iterdir())


def test_environment_without_frames_is_refused():
    with pytest.raises(CannotRender, match=r"env.id=Drawn-v0 .* rgb_array"):
        make_render_env(config(kwargs={"frame": None}).env)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system brings OpenGL")
@pytest.mark.parametrize(
    ("chosen", "display", "working", "expected"),
    [
        (None, None, ["egl", "osmesa"], "egl"),
        (None, None, ["osmesa"], "osmesa"),
        (None, ":0", ["glfw", "egl"], "glfw"),
        ("osmesa", ":0", ["glfw", "egl", "osmesa"], "osmesa"),
        (None, None, [], None),
        ("egl", None, ["osmesa"], None),
    ],
)
def test_first_opengl_that_works_is_chosen(chosen, display, working, expected, monkeypatch):
    for key, value in {"MUJOCO_GL": chosen, "DISPLAY": display, "WAYLAND_DISPLAY": None}.items():
        monkeypatch.setenv(key, value or "")
    monkeypatch.setattr(rendering, "_works", lambda name: name in working)
    if expected:
        choose_gl()
        assert os.environ["MUJOCO_GL"] == expected
    else:
        with pytest.raises(CannotRender, match=r"MUJOCO_GL=egl.*libegl1.*libosmesa6"):
            choose_gl()


def test_mujoco_renders_two_robots_in_turn():
    """In a process of its own, so that MUJOCO_GL and OpenGL's state stay there."""
    script = (
        "import sys; from expert.rendering import *\n"
        "config = EnvConfig(id='Hopper-v5', kwargs={'width': 64, 'height': 64})\n"
        "try: envs = [make_render_env(config) for _ in range(2)]\n"
        "except CannotRender as error: sys.exit(f'skip: {error}')\n"
        "for seed, env in enumerate(envs): env.reset(seed=seed)\n"
        "for _ in range(9): envs[1].step(env.action_space.high)\n"
        "a, b, c = (render(envs[i]).astype(int) for i in (0, 1, 0))\n"
        "assert a.std() > 10 and (a == c).all() and (a != b).any(), (a.std(), abs(a - c).max())\n"
        "for env in envs: env.close()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    if done.stderr.startswith("skip: "):
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
