"""Files that are whole or not there: kills, full disks and two writers at once."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gailfe.storage.files import atomic, remove_partials, write_json, write_text

DIE = """
import os, signal, sys
from pathlib import Path
from gailfe.storage.files import atomic

with atomic(Path(sys.argv[1])) as partial:
    partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""

FILL = """
import resource, signal, sys
from pathlib import Path
from gailfe.storage.files import write_text

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # bytes: the kernel refuses more, as a full disk does
try:
    write_text(Path(sys.argv[1]), "new" * 1000)
except OSError as error:
    print(error)
"""


def run(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-c", script, str(path)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_writer_that_is_killed_leaves_the_old_file_whole_and_its_own_half_can_be_cleared_away(
    tmp_path: Path,
) -> None:
    path = tmp_path / "jobs.json"
    path.write_text("old")
    assert run(DIE, path).returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert list(tmp_path.glob("[!.]*")) == [path]  # the half is hidden
    assert len(names(tmp_path)) == 2
    write_text(path, "new")
    assert path.read_text() == "new"
    remove_partials(tmp_path)
    assert names(tmp_path) == ["jobs.json"]


def test_a_writer_that_is_killed_before_there_is_a_file_leaves_none_of_that_name(tmp_path: Path) -> None:
    assert run(DIE, tmp_path / "made" / "summary.json").returncode == -signal.SIGKILL
    assert list(tmp_path.glob("made/[!.]*")) == []


def test_a_full_disk_is_an_error_that_leaves_the_old_file_whole_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text("old")
    done = run(FILL, path)
    assert done.stdout.startswith(f"the disk is full: there is no room for {path}"), done.stderr
    assert path.read_text() == "old"
    assert names(tmp_path) == ["summary.json"]


def test_content_that_does_not_reach_the_disk_does_not_take_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some file systems report a full disk or a broken one only when they are asked to finish writing."""

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    write_text(tmp_path / "a.txt", "old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output error"):
            write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_two_writers_at_once_do_not_mix_and_the_last_to_finish_wins(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    with atomic(path) as first, first.open("w") as file:
        file.write("first, ")
        with atomic(path) as second:
            second.write_text("second")
        assert path.read_text() == "second"
        file.write("whole")
    assert path.read_text() == "first, whole"
    assert names(tmp_path) == ["curves.csv"]


def test_an_error_of_the_writer_passes_and_leaves_nothing(tmp_path: Path) -> None:
    def draw() -> None:
        with atomic(tmp_path / "figure.png") as partial:
            partial.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        draw()
    assert names(tmp_path) == []


def test_writers_that_go_by_the_suffix_see_the_right_one(tmp_path: Path) -> None:
    with atomic(tmp_path / "hopper.mp4") as partial:
        assert partial.suffix == ".mp4"
        partial.touch()


def test_others_may_read_the_file_as_they_may_any_other(tmp_path: Path) -> None:
    (tmp_path / "plain.txt").write_text("")
    write_text(tmp_path / "ours.txt", "")
    assert (tmp_path / "ours.txt").stat().st_mode == (tmp_path / "plain.txt").stat().st_mode


def test_json_comes_back_and_ends_its_last_line(tmp_path: Path) -> None:
    content = {"algo": "gailfe", "λ_F": [0.1, None, True]}
    write_json(tmp_path / "a.json", content)
    assert json.loads((tmp_path / "a.json").read_text()) == content
    assert (tmp_path / "a.json").read_text().endswith("}\n")
