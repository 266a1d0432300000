"""Frames of an environment, also on a machine without a display."""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys

import gymnasium
import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv

from gailfe.config.keys import ConfigError
from gailfe.config.schema import EnvConfig
from gailfe.envs.making import make_env

FLOOR = 25  # times the size: from 40 m to a kilometre

PROBE = """
import mujoco
context = mujoco.GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
"""


class CannotRender(ConfigError):
    """Something that a video needs is missing: what, and how to get it."""


def make_render_env(config: EnvConfig) -> gymnasium.Env:
    """`make_env`, ready for `render`.

    Close all of them together, at the end: when MuJoCo frees a renderer, it also frees the buffers of the one that
    rendered last.

    Raises:
        CannotRender: if no frame comes out of it, or its frames would need OpenGL and there is none.
        ConfigError: if the environment can't be made.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no display for frames, and says no word then
    env = make_env(config, render_mode="rgb_array")
    if isinstance(env.unwrapped, MujocoEnv):
        choose_gl()
        if not {"camera_id", "camera_name"} & config.kwargs.keys():
            follow(env.unwrapped)
        return env
    try:
        env.reset(seed=0)
        frame = env.render()
    except Exception as error:  # most often because a package that it needs is missing
        raise CannotRender(f"env.id={config.id} can't be rendered: {error}") from error
    if not isinstance(frame, np.ndarray) or frame.ndim != 3:
        raise CannotRender(f"env.id={config.id} can't be rendered: it has no render_mode rgb_array")
    return env


def render(env: gymnasium.Env) -> np.ndarray:
    """Return the current frame, (height, width, 3) uint8; several environments may take turns."""
    if isinstance(env.unwrapped, MujocoEnv) and env.unwrapped.mujoco_renderer.viewer is not None:
        env.unwrapped.mujoco_renderer.viewer.make_context_current()  # Gymnasium doesn't, for one viewer each
    return np.asarray(env.render())


def choose_gl() -> None:
    """Set MUJOCO_GL to the first that works: the value that it has, or else glfw (with a display), EGL, OSMesa.

    Gymnasium reads it at the first frame. Each is tried in a separate process, since a failure can't be undone.

    Raises:
        CannotRender: if none works.
    """
    if sys.platform != "linux":
        return  # the system's own
    chosen = os.environ.get("MUJOCO_GL")
    display = ["glfw"] if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") else []
    candidates = [chosen] if chosen else [*display, "egl", "osmesa"]
    logging.getLogger("OpenGL").setLevel(logging.WARNING)  # it announces an accelerator that isn't needed
    for name in candidates:
        if _works(name):
            os.environ["MUJOCO_GL"] = name
            return
    raise CannotRender(
        f"MuJoCo finds no OpenGL to render with (tried MUJOCO_GL={' and '.join(candidates)}); without a display, "
        "install Debian's libegl1 and libgl1 (for MUJOCO_GL=egl) or libosmesa6 (for MUJOCO_GL=osmesa)"
    )


def follow(env: MujocoEnv) -> None:
    """Use the camera that follows the robot, and a floor that is large enough.

    Gymnasium's default camera stays where the episode begins. The physics doesn't change: every plane is infinite.
    """
    camera = mujoco.mj_name2id(env.model, mujoco.mjtObj.mjOBJ_CAMERA, "track")
    if camera >= 0:
        env.mujoco_renderer.camera_id = camera
    planes = env.model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
    materials = np.unique(env.model.geom_matid[planes])
    env.model.geom_size[planes, :2] *= FLOOR
    env.model.mat_texrepeat[materials[materials >= 0]] *= FLOOR  # squares as large as before


@functools.cache
def _works(name: str) -> bool:
    """Return whether MuJoCo gets an OpenGL context with MUJOCO_GL=`name`, one that Gymnasium knows, too."""
    if name not in ("glfw", "egl", "osmesa"):
        return False
    probe = [sys.executable, "-c", PROBE]
    try:
        done = subprocess.run(probe, env={**os.environ, "MUJOCO_GL": name}, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
