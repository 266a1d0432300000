"""Datasets as people make them: Minari's, by scripts that know nothing of this project, and files of arrays."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np

# A random policy, recorded with Minari's own tools; float32 where asked, and the last episode cut off.
SCRIPT = """
import sys
import gymnasium, minari
import numpy as np
from minari.data_collector import EpisodeBuffer

env_id, name, episodes, limit, dtype, cut = sys.argv[1:]
env = gymnasium.make(env_id, max_episode_steps=int(limit))
env.action_space.seed(0)
buffers = []
for i in range(int(episodes)):
    observation, _ = env.reset(seed=i)
    rows = {key: [] for key in ("actions", "rewards", "terminations", "truncations")}
    observations, done = [observation.astype(dtype)], False
    while not done:
        action = env.action_space.sample()
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation.astype(dtype))
        for key, value in zip(rows, (action, reward, terminated, truncated)):
            rows[key].append(value)
        done = terminated or truncated
    buffers.append(EpisodeBuffer(id=i, observations=observations, **rows))
if cut == "True":
    buffers[-1].terminations[-1] = buffers[-1].truncations[-1] = False
minari.create_dataset_from_buffers(
    name, buffers, env=env, action_space=env.action_space, observation_space=env.observation_space
)
assert not [module for module in sys.modules if module.split(".")[0] in ("gailfe", "expert")]
"""


def record(
    root: Path,
    name: str = "mine-v0",
    env_id: str = "Hopper-v5",
    episodes: int = 4,
    limit: int = 20,
    dtype: str = "float64",
    cut: bool = False,
) -> Path:
    """The folder of a dataset of random actions below `root`, made by another process."""
    root.mkdir(parents=True, exist_ok=True)
    process = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", "-I", "-c", SCRIPT),
            *(env_id, name, str(episodes), str(limit), dtype, str(cut)),
        ],
        cwd=root,
        env={**os.environ, "MINARI_DATASETS_PATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return root / name


def write_arrays(path: Path, arrays: dict[str, Any]) -> Path:
    """Write a file of arrays, NumPy's or HDF5 by its suffix; returns its path."""
    if path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        with h5py.File(path, "w") as file:
            for key, array in arrays.items():
                file[key] = array
    return path
