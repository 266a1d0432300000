"""The pages of docs/bring_your_own: their files and commands, in one folder, as a reader has them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gailfe.config.schema import EnvConfig
from gailfe.envs.making import make_env
from gailfe.envs.state import get_state, is_restorable, set_state

ROOT = Path(__file__).parents[1]
PAGES = ("environment", "annotator", "demonstrations", "algorithm", "study")  # in the order of reading
BLOCK = re.compile(r"<!-- (run|file: (?P<name>\S+)) -->\n```\w+\n(?P<text>.*?)```", re.DOTALL)

# What makes a command short, by a word of it. The jobs of the sweep run in its own process.
STAGES = "env.ppo.total_steps=512 expert.steps_per_iteration=256 expert.epochs=1 expert.eval_episodes=1 "
STAGES += "expert.finalists=1 expert.finalist_episodes=1 expert.final_eval_episodes=1"
SHORTER = {
    "expert.train": STAGES,
    "expert.collect": STAGES + " demonstrations.num_trajectories=2",
    "gailfe.run": "env.num_iterations=2 evaluation.episodes=1 tracking=none algo.steps_per_iteration=256",
    "experiment=hurry": "seed=0 hydra/launcher=basic",
}

# All commands in one process, whose imports take longer than the work.
DRIVER = """
import runpy, shlex, sys

for line in sys.stdin:
    print("$", line, end="", flush=True)
    _, *words = shlex.split(line)
    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise
"""


def blocks(page: str) -> list[tuple[str | None, str]]:
    """The files of a page, by name, and its commands, without one."""
    text = (ROOT / "docs" / "bring_your_own" / f"{page}.md").read_text()
    return [(found["name"], found["text"]) for found in BLOCK.finditer(text)]


def shortened(command: str) -> str:
    return " ".join([command, *(more for word, more in SHORTER.items() if f" {word}" in command)])


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder in which a reader has done all that the pages say, and what the commands printed."""
    folder = tmp_path_factory.mktemp("reader")
    commands = []
    for page in PAGES:
        for name, text in blocks(page):
            if name is None:
                commands += text.replace("\\\n", "").splitlines()
                continue
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text.replace("num_iterations=40", "num_iterations=1"))
    path = os.pathsep.join([str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", DRIVER],
        input="".join(f"{shortened(command)}\n" for command in commands),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("$ python ") == len(commands) == 11
    return folder, done.stdout


def test_every_command_of_the_pages_does_its_work(followed: tuple[Path, str]) -> None:
    folder, output = followed
    assert output.count("of 50 episodes touch the plate") == 3
    assert "careful: 20 episodes, 1000 steps, 0 episodes terminated" in output
    runs = {path.parent.relative_to(folder / "runs") for path in folder.glob("runs/**/summary.json")}
    assert {run.parts[:3] for run in runs} == {
        *(("figure1", "hotplate", algo) for algo in ("gailfe", "filtered")),
        *(("hurry", "hotplate", algo) for algo in ("gail", "gailfe_tuned", "filtered")),
    }
    tables = {path.parts[-3]: pd.read_csv(path) for path in folder.glob("runs/hurry/**/metrics.csv")}
    assert tables["gailfe_tuned"]["log_d_failed"].notna().all()  # GAILFE has the hurried person's failures
    assert tables["gail"]["log_d_failed"].isna().all()


def test_the_environment_of_the_pages_goes_on_exactly_from_a_saved_state(
    followed: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(followed[0])
    env = make_env(EnvConfig(id="hotplate:HotPlate-v0"))
    push = np.array([1.0, 0.5], dtype=np.float32)
    env.reset(seed=0)
    env.step(push)
    assert is_restorable(env)
    state = get_state(env)
    expected = [env.step(push)[0] for _ in range(3)]
    set_state(env, state)
    assert np.array_equal([env.step(push)[0] for _ in range(3)], expected)


def test_the_careful_person_goes_around_the_plate_and_the_hurried_one_over_it(followed: tuple[Path, str]) -> None:
    nearest = {}
    for name in ("careful", "hurried"):
        with np.load(followed[0] / f"{name}.npz") as arrays:
            distances = np.linalg.norm(arrays["observations"][:, :2], axis=1).reshape(-1, 50)
        nearest[name] = distances.min(axis=1)
    assert nearest["careful"].min() > 0.3
    assert nearest["hurried"].max() < 0.3


def test_every_page_fits_on_two_screens() -> None:
    for page in PAGES:
        lines = (ROOT / "docs" / "bring_your_own" / f"{page}.md").read_text().splitlines()
        assert len(lines) <= 130, page
