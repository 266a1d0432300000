"""Artefacts: made once, whole or not there, and checked on load."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from gailfe.storage.locks import artifact_lock
from gailfe.storage.names import MANIFEST
from gailfe.storage.store import ArtifactError, Store, artifact_key, finished, verify

ROOT = Path(__file__).parents[1]
RECIPE = {"version": 1, "env": {"id": "Hopper-v5"}, "sizes": [64, 64], "seed": 0}

ASK = """
import logging, sys, time
from pathlib import Path
from gailfe.storage.store import Store

root, here, number, others = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def make(folder):
    with (here / "made.txt").open("a") as file:
        file.write(number + "\\n")
    while len(list(here.glob("asks-*"))) < others:
        time.sleep(0.01)
    time.sleep(0.2)
    (folder / "content.txt").write_text("whole")

(here / ("asks-" + number)).touch()
folder = Store(root).get("experts", "hopper", {"seed": 0}, make)
assert (folder / "content.txt").read_text() == "whole"
print(folder)
"""

DIE = """
import os, signal, sys
from pathlib import Path
from gailfe.storage.files import atomic
from gailfe.storage.store import Store

def make(folder):
    (folder / "half.txt").write_text("half")
    with atomic(folder / "policy.txt") as partial:
        partial.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)

Store(Path(sys.argv[1])).get("experts", "hopper", {"seed": 0}, make)
"""


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def write(folder: Path) -> None:
    (folder / "weights.bin").write_bytes(bytes(range(256)))
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "rows.csv").write_text("1,2\n")


def never(folder: Path) -> None:
    pytest.fail("made again")


def get(root: Path, make: Callable[[Path], None] = write, recipe: dict[str, Any] | None = None) -> Path:
    return Store(root).get("experts", "hopper", recipe or RECIPE, make)


def test_an_artefact_is_made_once_and_then_found(tmp_path: Path) -> None:
    folder = Store(tmp_path).get("experts", "hopper", RECIPE, write)
    assert folder == tmp_path / "experts" / f"hopper-{artifact_key(RECIPE)[:12]}"
    assert (folder / "data" / "rows.csv").read_text() == "1,2\n"
    assert Store(tmp_path).get("experts", "hopper", RECIPE, never) == folder


def test_the_manifest_says_what_the_artefact_was_made_from(tmp_path: Path) -> None:
    manifest = verify(get(tmp_path))
    assert manifest["recipe"] == RECIPE
    assert manifest["key"] == artifact_key(RECIPE)
    assert sorted(manifest["files"]) == ["data/rows.csv", "weights.bin"]


def test_of_many_processes_that_ask_at_once_one_makes_it_and_the_others_find_it(tmp_path: Path) -> None:
    root = tmp_path / "artifacts"
    asking = [start(ASK, str(root), str(tmp_path), str(number), "4") for number in range(4)]
    outputs = [process.communicate(timeout=300) for process in asking]
    assert [process.returncode for process in asking] == [0] * 4, outputs
    assert len({out for out, _ in outputs}) == 1
    assert len((tmp_path / "made.txt").read_text().splitlines()) == 1


def test_who_waits_says_what_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    begun, may_end = threading.Event(), threading.Event()

    def slow(folder: Path) -> None:
        begun.set()
        assert may_end.wait(300)
        write(folder)

    threads = [threading.Thread(target=get, args=(tmp_path, make)) for make in (slow, never)]
    threads[0].start()
    assert begun.wait(300)
    threads[1].start()
    deadline = time.monotonic() + 300
    while "waiting for another process" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    may_end.set()
    for thread in threads:
        thread.join(300)
    assert "waiting for another process that is making hopper-" in caplog.text
    assert caplog.text.index("made ") < caplog.text.index("found ")


def test_a_maker_that_fails_leaves_no_artefact_and_its_work_to_the_next(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "checkpoint.pt").write_text("half")
        raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        get(tmp_path, fail)
    assert [path.name for path in (tmp_path / "experts").glob("[!.]*") if path.suffix != ".partial"] == []

    def go_on(folder: Path) -> None:
        assert (folder / "checkpoint.pt").read_text() == "half"
        (folder / "checkpoint.pt").unlink()
        write(folder)

    folder = get(tmp_path, go_on)
    assert sorted(path.name for path in folder.iterdir()) == ["data", MANIFEST, "weights.bin"]
    assert [path.name for path in (tmp_path / "experts").glob("[!.]*")] == [folder.name]


def test_a_maker_that_is_killed_leaves_its_work_and_no_stuck_lock(tmp_path: Path) -> None:
    killed = start(DIE, str(tmp_path))
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    seen: list[str] = []

    def go_on(folder: Path) -> None:
        seen.extend(path.name for path in folder.glob("[!.]*"))

    def ask() -> None:
        Store(tmp_path).get("experts", "hopper", {"seed": 0}, go_on)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(300)
    assert not thread.is_alive(), "the dead process still holds the lock"
    assert seen == ["half.txt"]
    (folder,) = finished(tmp_path, "experts")
    assert list(verify(folder)["files"]) == ["half.txt"]  # and no file that was being written
    assert sorted(path.name for path in folder.iterdir()) == ["half.txt", MANIFEST]


def flip(folder: Path) -> None:
    content = bytearray((folder / "weights.bin").read_bytes())
    content[100] ^= 1
    (folder / "weights.bin").write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a byte flipped": flip,
    "a file gone": lambda folder: (folder / "data" / "rows.csv").unlink(),
    "a file emptied": lambda folder: (folder / "weights.bin").write_bytes(b""),
    "half a manifest": lambda folder: (folder / MANIFEST).write_text('{"files": {'),
    "another manifest": lambda folder: (folder / MANIFEST).write_text("[]"),
    "a manifest of nothing": lambda folder: (folder / MANIFEST).write_text('{"files": {}}'),
    "no manifest": lambda folder: (folder / MANIFEST).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_artefact_is_moved_aside_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], object]
) -> None:
    folder = get(tmp_path)
    damage(folder)
    left = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ArtifactError, match="hopper"):
        verify(folder)
    assert get(tmp_path) == folder
    verify(folder)
    (aside,) = (tmp_path / "experts").glob("*.corrupt-*")
    assert {path.name: path.read_bytes() for path in aside.rglob("*") if path.is_file()} == left  # nothing lost
    assert aside.name in caplog.text
    get(tmp_path, never)


def test_damage_twice_within_a_second_is_moved_aside_twice(tmp_path: Path) -> None:
    for _ in range(2):
        flip(get(tmp_path))
    get(tmp_path)
    assert len(list((tmp_path / "experts").glob("*.corrupt-*"))) == 2


def test_a_file_of_the_artefacts_own_that_is_called_like_the_manifest_is_checked_too(tmp_path: Path) -> None:
    def nested(folder: Path) -> None:
        (folder / "data").mkdir()
        (folder / "data" / MANIFEST).write_text("{}")

    folder = get(tmp_path, nested)
    (folder / "data" / MANIFEST).write_text("changed")
    with pytest.raises(ArtifactError):
        verify(folder)


def test_only_whole_artefacts_are_finished(tmp_path: Path) -> None:
    assert finished(tmp_path, "experts") == []
    folder = get(tmp_path)
    flip(folder)
    get(tmp_path)  # the damaged one is moved aside, with its manifest
    other = get(tmp_path, recipe={"seed": 1})
    other.rename(
        other.with_name(other.name + ".partial")
    )  # complete, but its maker was killed before the renaming
    assert len(list(tmp_path.glob(f"experts/*/{MANIFEST}"))) == 3
    assert finished(tmp_path, "experts") == [folder]
    assert finished(tmp_path, "demonstrations") == []


def test_kinds_labels_and_recipes_do_not_share_folders(tmp_path: Path) -> None:
    store = Store(tmp_path)
    asked = [("experts", "a", RECIPE), ("demonstrations", "a", RECIPE), ("experts", "b", RECIPE)]
    asked.append(("experts", "a", {**RECIPE, "seed": 1}))
    assert len({store.get(*question, write) for question in asked}) == 4


def test_an_artefact_that_was_complete_but_not_yet_in_place_is_not_made_again(tmp_path: Path) -> None:
    folder = get(tmp_path)
    folder.rename(folder.with_name(folder.name + ".partial"))
    assert get(tmp_path, never) == folder


def test_who_waits_for_another_process_is_called_and_may_give_up(tmp_path: Path) -> None:
    folder = Store(tmp_path).get("experts", "hopper", RECIPE, lambda folder: (folder / "x").touch())

    def give_up() -> None:
        raise KeyboardInterrupt

    with FileLock(artifact_lock(folder)), pytest.raises(KeyboardInterrupt):
        Store(tmp_path).get("experts", "hopper", RECIPE, lambda folder: None, give_up)
