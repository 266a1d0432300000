"""results/speed: its pages come from its data, and the commands that they print can be pasted."""

from __future__ import annotations

import importlib
import json
import re
import shlex
import typing
from pathlib import Path

import pytest

from benchmarks import memory, peers, scaling, throughput
from benchmarks.measurements import read_rows
from benchmarks.peer_table import page
from benchmarks.scaling_report import write_report
from benchmarks.throughput import report
from gailfe.config.arguments import parse_arguments

SPEED = Path(__file__).parents[1] / "results" / "speed"
SCHEMAS = {
    "memory": memory.Arguments,
    "peers": peers.PeersArguments,
    "scaling": scaling.ScalingArguments,
    "throughput": throughput.Arguments,
}


def check_commands(text: str) -> int:
    """Give each command in a page, as a shell would split it, to the command's own parser; how many there were."""
    commands = re.findall(r"(?:^ {4}|`)(python -m benchmarks\..*?)(?:`|$)", text, re.MULTILINE)
    for command in commands:
        _, _, module, *arguments = shlex.split(command)
        parse_arguments(SCHEMAS[module.removeprefix("benchmarks.")], arguments)
    return len(commands)


@pytest.mark.parametrize("name", ["memory", "peers", "scaling", "throughput"])
def test_command_that_a_page_prints_can_be_pasted(name: str) -> None:
    assert check_commands((SPEED / f"{name}.md").read_text()) >= 1


def test_throughput_prints_the_command_that_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = json.loads((SPEED / "throughput.json").read_text())
    asked = []

    def measure(env: str, *numbers: int) -> list[dict[str, object]]:
        asked.append((env, *numbers))
        return [dict(record) for record in records if record["env"] == env]

    monkeypatch.setattr(throughput, "measure", measure)
    given = ["env=[hopper,halfcheetah]", "rounds=2", "iterations=7", f"out={tmp_path}/a folder"]
    assert throughput.main(given) == 0
    assert asked == [("hopper", 2, 7), ("halfcheetah", 2, 7)]
    written = (tmp_path / "a folder" / "throughput.md").read_text()
    assert check_commands(written) == 1
    (command,) = re.findall(r"python -m .*", written)
    assert shlex.split(command)[3:] == given


def test_pages_are_what_the_data_say(tmp_path: Path) -> None:
    assert page(read_rows(SPEED / "peers.jsonl")) == (SPEED / "peers.md").read_text()
    assert report(json.loads((SPEED / "throughput.json").read_text())) == (SPEED / "throughput.md").read_text()
    assert write_report(tmp_path, read_rows(SPEED / "scaling.jsonl")) == (SPEED / "scaling.md").read_text()
    assert (tmp_path / "scaling.png").stat().st_size > 0


@pytest.mark.parametrize("name", SCHEMAS)
def test_help_names_every_key_and_its_examples_can_be_pasted(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"benchmarks.{name}")
    assert module.main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"  {key}=" in told for key in typing.get_type_hints(SCHEMAS[name]))
    examples = re.findall(
        rf"python -m benchmarks\.{name} (.*?)(?: {{2,}}#.*)?$", told.split("Example")[-1], re.MULTILINE
    )
    for example in filter(None, examples):
        parse_arguments(SCHEMAS[name], shlex.split(example))


def test_list_needs_no_brackets() -> None:
    for text in ("env=hopper,ant", "env=[hopper,ant]"):
        assert parse_arguments(throughput.Arguments, [text]).env == ["hopper", "ant"]
