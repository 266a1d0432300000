"""What the peers need: virtual environments, demonstrations as arrays, our sizes; and how one is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.command import MeasurementError
from benchmarks.measurements import ROOT
from benchmarks.peer_report import RESULT
from gailfe.storage.files import atomic
from gailfe.storage.names import EVALUATION

REQUIREMENTS = Path(__file__).parent / "requirements"


def one_thread() -> dict[str, str]:
    """The environment variables of every measurement."""
    variables = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    return {**variables, **threads, "PYTHONUNBUFFERED": "1"}


def make_venv(name: str, cache: Path) -> Path:
    """The Python of the virtual environment `<cache>/<name>`, made from requirements/<name>.txt if it isn't there.

    Raises:
        MeasurementError: if it can't be installed.
    """
    folder, wanted = cache / name, (REQUIREMENTS / f"{name}.txt").read_text()
    python, installed = folder / "bin" / "python", folder / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return python
    print(f"installing {name} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(REQUIREMENTS / f"{name}.txt")]
    if subprocess.run(pip, env=one_thread()).returncode:
        raise MeasurementError(
            f"{name}: pip could not install {REQUIREMENTS.name}/{name}.txt. On Linux that wants the CPU build of "
            "torch; where no configured index has it, set PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu"
        )
    installed.write_text(wanted)  # last, so that a half-made environment is made again
    return python


def our_config(env: str) -> dict[str, Any]:
    """Our configuration of GAIL and of the PPO expert on `env`, as plain values."""
    from hydra import compose, initialize_config_module  # now: --help doesn't wait for it

    from gailfe.config.checks import parse

    with initialize_config_module("conf", version_base="1.3"):
        return asdict(parse(compose("config", overrides=["algo=gail", f"env={env}"])))


def expert_return(env: str) -> float:
    """What the pretrained expert's mean action returns."""
    card = ROOT / "expert" / "pretrained" / env / EVALUATION
    return float(json.loads(card.read_text())["eval_return_mean"])


def export_demonstrations(env: str, cache: Path) -> Path:
    """The pretrained expert's demonstrations, which our runs imitate, as the .npz that the peers read.

    Arrays, a row a step: observations and next_observations (N, obs_dim), actions (N, action_dim), terminated and
    truncated (N,) bool.
    """
    from expert.demonstrations import EXPERT, load_trajectories  # now: --help doesn't wait for torch

    command = [
        *(sys.executable, "-m", "expert.collect", f"env={env}", "expert=pretrained"),
        *(f"paths.artifacts={cache / 'artifacts'}", f"paths.runs={cache / 'runs'}"),
    ]
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    folder = Path(printed.splitlines()[-1])
    path = cache / f"{folder.name}.npz"
    if not path.exists():
        trajectories = load_trajectories(folder / EXPERT)
        last = [np.arange(len(t)) == len(t) - 1 for t in trajectories]
        arrays = {
            "observations": [t.observations[:-1] for t in trajectories],
            "next_observations": [t.observations[1:] for t in trajectories],
            "actions": [t.actions for t in trajectories],
            "terminated": [t.terminated & at_end for t, at_end in zip(trajectories, last, strict=True)],
            "truncated": [t.truncated & at_end for t, at_end in zip(trajectories, last, strict=True)],
        }
        with atomic(path) as partial:
            np.savez(partial, **{name: np.concatenate(parts) for name, parts in arrays.items()})  # type: ignore[arg-type]
    return path


def run_peer(python: Path, peer: str, settings: dict[str, Any], log: Path) -> dict[str, Any]:
    """The measurement that `benchmarks/peer_<peer>.py` prints as a line of JSON; all that it prints is in `log`.

    Raises:
        MeasurementError: if it fails.
    """
    command = [str(python), "-m", f"benchmarks.peer_{peer}", json.dumps(settings)]
    with log.open("w") as file:
        done = subprocess.run(command, cwd=ROOT, env=one_thread(), stdout=file, stderr=subprocess.STDOUT)
    lines = log.read_text().splitlines()
    results = [line for line in lines if line.startswith(RESULT)]
    if done.returncode or not results:
        last = next((line for line in reversed(lines) if line.strip()), "nothing was printed")
        raise MeasurementError(f"exit status {done.returncode}: {last} ({log})")
    result: dict[str, Any] = json.loads(results[-1])
    return result
