"""The flat layout of the importer: arrays whose rows are steps in time order, episode after episode.

observations       (N, obs_dim)     what the agent saw before each step
actions            (N, action_dim)  what the environment received; of discrete actions (N,) integers
terminated         (N,) bool        the episode ended with this step by itself: it fell, it reached its goal
truncated          (N,) bool        the episode ended by its time limit; one of these two may be missing
rewards            (N,)             may be missing: returns are then unknown
next_observations  (N, obs_dim)     may be missing: the final observation of an episode is then unknown,
                                    and its last one is repeated
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from gailfe.config.arguments import CommandError
from gailfe.envs.trajectory import SANE, Trajectory, absurd

if TYPE_CHECKING:  # --help does not wait for it
    from gymnasium.spaces import Box

    from gailfe.envs.actions import ActionSpace

log = logging.getLogger(__name__)

REQUIRED = ("observations", "actions")
ENDS = ("terminated", "truncated")
KEYS = (*REQUIRED, *ENDS, "rewards", "next_observations")


class LayoutError(CommandError):
    """Arrays that are not in the layout; the message names the key, what it holds and what is valid."""


def read_arrays(source: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz or an HDF5 file (.h5, .hdf5), those that the layout knows.

    Raises:
        LayoutError: if it is no such file.
    """
    try:
        if source.suffix == ".npz":
            with np.load(source, allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files if key in KEYS}
                others = [key for key in file.files if key not in KEYS]
        elif source.suffix in (".h5", ".hdf5"):
            with h5py.File(source) as file:
                arrays = {key: file[key][()] for key in KEYS if isinstance(file.get(key), h5py.Dataset)}
                others = [key for key in file if key not in arrays]
        else:
            raise LayoutError("the name must end in .npz, .h5 or .hdf5")
    except LayoutError:
        raise
    except Exception as error:  # of a damaged file, zip, zlib, NumPy and HDF5 each raise their own
        raise LayoutError(f"it can't be read: {type(error).__name__}: {error}") from error
    if others:
        names = ", ".join(map(str, others))  # of HDF5, one that is no UTF-8 is bytes
        log.info("not read: %s; the keys are %s", names, ", ".join(KEYS))
    return arrays


def check_arrays(arrays: dict[str, np.ndarray], observation: Box, action: ActionSpace) -> None:
    """Refuse arrays that are not in the layout or not of an environment with these spaces.

    Raises:
        LayoutError: naming the key and both shapes, or the first row that is wrong, with its episode and step.
    """
    from gailfe.envs.actions import action_shape, outside, refusal

    for key in REQUIRED:
        if key not in arrays:
            raise LayoutError(f"{key} is missing; there are: {', '.join(arrays) or 'none of the layout'}")
    if not set(ENDS) & set(arrays):
        raise LayoutError(f"{' and '.join(ENDS)} are missing: at least one must say where episodes end")
    n = len(np.atleast_1d(arrays["observations"]))
    if n == 0:
        raise LayoutError("observations are empty: at least one step is needed")
    shapes = {
        "observations": observation.shape,
        "next_observations": observation.shape,
        "actions": action_shape(action),
    }
    for key, array in arrays.items():
        expected = (n, *shapes.get(key, ()))
        if array.shape != expected:
            raise LayoutError(
                f"{key} has shape {array.shape}, must be {expected}: a row for each of the {n} observations"
                + (f", {_numbers(shapes[key])} each in this environment" if key in shapes else "")
            )
        if array.dtype.kind not in "biuf":
            raise LayoutError(f"{key} has dtype {array.dtype}, must be numbers")
        if key in ENDS and not np.isin(array, (0, 1)).all():
            raise LayoutError(f"{key} must be boolean, or 0 and 1; got {array[~np.isin(array, (0, 1))][0]}")
    for key, array in arrays.items():
        wrong = absurd(array)
        if wrong.any():
            raise LayoutError(f"{key} must be {SANE}, got {array[wrong][0]} in {_place(arrays, wrong)}")
    beyond = outside(arrays["actions"], action)
    if beyond.any():
        raise LayoutError(refusal(action, arrays["actions"][first_row(beyond)], _place(arrays, beyond)))
    _check_order(arrays)


def first_row(where: np.ndarray) -> int:
    """The first row that holds a true entry; `where` has one."""
    return int(np.argwhere(where)[0][0])


def cut_episodes(arrays: dict[str, np.ndarray], action: ActionSpace) -> list[Trajectory]:
    """Return the episodes of arrays that passed `check_arrays`; the log says what had to be assumed."""
    from gailfe.envs.actions import as_actions

    observations = arrays["observations"].astype(np.float64)
    actions = as_actions(arrays["actions"], action)
    n = len(observations)
    terminated, truncated = (arrays.get(key, np.zeros(n)).astype(bool) for key in ENDS)
    rewards = arrays.get("rewards", np.full(n, np.nan)).astype(np.float64)
    successors = arrays.get("next_observations", observations).astype(np.float64)
    if "rewards" not in arrays:
        log.info(
            "no rewards: returns are unknown, so figures get no expert line and annotators can't go by return"
        )
    if "next_observations" not in arrays:
        log.info("no next_observations: the last observation of each episode is repeated as its final one")
    if not (terminated[-1] or truncated[-1]):
        log.info("the last episode is cut off, neither terminated nor truncated: taken as truncated")
        truncated[-1] = True
    stops = np.flatnonzero(terminated | truncated) + 1
    return [
        Trajectory(
            np.concatenate([observations[start:stop], successors[stop - 1 : stop]]),
            actions[start:stop],
            rewards[start:stop],
            terminated=bool(terminated[stop - 1]),
            truncated=bool(truncated[stop - 1]),
        )
        for start, stop in zip([0, *stops[:-1]], stops, strict=True)
    ]


def _check_order(arrays: dict[str, np.ndarray]) -> None:
    """Within an episode, the next observation is the next row's."""
    if "next_observations" not in arrays:
        return
    ends = _ends(arrays)[:-1]
    same = np.isclose(arrays["next_observations"][:-1], arrays["observations"][1:], rtol=1e-4, atol=1e-5)
    wrong = np.flatnonzero(~same.all(axis=1) & ~ends)
    if len(wrong):
        raise LayoutError(
            f"next_observations of row {wrong[0]} must be the observations of row {wrong[0] + 1}, as no episode "
            "ends there: rows are steps in time order"
        )


def _numbers(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} numbers" if shape else "an integer"


def _place(arrays: dict[str, np.ndarray], where: np.ndarray) -> str:
    row = first_row(where)
    ends = np.flatnonzero(_ends(arrays)[:row])
    return f"row {row} (episode {len(ends)}, step {row - (ends[-1] + 1 if len(ends) else 0)})"


def _ends(arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.logical_or.reduce([arrays[key].astype(bool) for key in ENDS if key in arrays])
