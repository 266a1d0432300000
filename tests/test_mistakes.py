"""Mistyped keys and options: the nearest valid ones are named, in a line, and without a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gailfe.config.arguments import ArgumentError, parse_arguments
from gailfe.config.nearest import nearest
from gailfe.evaluate import EvaluateArguments

KEYS = [
    "env",
    "env.name",
    "seed",
    "algo",
    "algo.gamma",
    "expert.gamma",
    "algo.failures.window",
    "algo.failures.rule",
]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("algo.failures.windw", ["algo.failures.window"]),
        ("algo.failurs.window", ["algo.failures.window"]),
        ("window", ["algo.failures.window"]),
        ("algo.gama", ["algo.gamma"]),
        ("enviroment", ["env"]),
        ("Seed", ["seed"]),
        ("nothing.like.it", []),
    ],
)
def test_the_nearest_keys_are_few_and_the_best_is_first(word: str, meant: list[str]) -> None:
    assert nearest(word, KEYS) == meant


def test_a_mistyped_argument_of_a_command_is_told_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"unknown key 'episods'.*did you mean episodes\?"):
        parse_arguments(EvaluateArguments, ["episods=3"])


def refused(folder: Path, *arguments: str, **environment: str) -> str:
    """What the command says, which must refuse its arguments."""
    command = [sys.executable, "-m", "gailfe.run", *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, **environment}
    )
    assert done.returncode == 1
    assert sorted(path.name for path in folder.iterdir()) == ["my"]
    return done.stderr


def test_command_lines_that_cannot_be_composed_end_in_a_line_with_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "my" / "env").mkdir(parents=True)
    (tmp_path / "my" / "env" / "mine.yaml").write_text("name: mine\nid: Hopper-v5\n")
    said = refused(tmp_path, "--config-dir", "my", "env=mine", "env.nam=x")
    assert said == "error: env.nam=x: env=mine has no key env.nam; did you mean env.name?\n"
    said = refused(tmp_path, "--config-dir", "my", "env=mime")
    assert said.startswith("error: env=mime: there is no such option; valid: ant, cartpole, halfcheetah, ")
    assert ", mine, " in said
    assert said.endswith("; did you mean mine?\n")
    said = refused(tmp_path, "-m", "algo=gailfe", "+algo.failures.windw=1", "algo.gamma=0.9,0.8")
    first, second = said.splitlines()
    assert first == "error: algo.failures.windw: there is no such key; did you mean algo.failures.window?"
    assert second == "  in the job algo=gailfe +algo.failures.windw=1 algo.gamma=0.9"
    # A key that only an algorithm of the sweep has, and not the default one, gets as far as its job.
    said = refused(tmp_path, "-m", "algo=gail,bc", "algo.patience=-3", "seed=0")
    first, second = said.splitlines()
    assert first == "error: algo.patience=-3 must be at least 1"
    assert second.startswith("  in the job algo=bc algo.patience=-3 seed=0")
    said = refused(tmp_path, "env.kwargs={g: 5}")
    assert said == "error: env.kwargs={g: 5}: env.kwargs has no key g; + adds one: +env.kwargs={g: 5}\n"
    said = refused(tmp_path, "algo.gama=0.9", HYDRA_FULL_ERROR="1")
    assert "Traceback" in said
