"""Checkpoints after a crash, a kill or damage: the old one or the new one is there, and no code runs."""

from __future__ import annotations

import functools
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gailfe.storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint


@pytest.mark.parametrize("written", [0, 10])
def test_a_crash_while_writing_leaves_the_old_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int
) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    save_checkpoint(path, {"iteration": 1})

    def crash(state: Any, file: Any) -> None:
        file.write(b"x" * written)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", crash)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(path, {"iteration": 2})
    assert load_checkpoint(path) == {"iteration": 1}
    save_checkpoint(path, {"iteration": 2})  # what the crash left behind is in nobody's way
    assert load_checkpoint(path) == {"iteration": 2}
    assert sorted(file.name for file in path.parent.iterdir()) == ["state.pt", "state_before.pt"]


DIE = """
import os, signal, sys
from pathlib import Path
import torch
from gailfe.storage.checkpoint import save_checkpoint

save = torch.save

def save_half(state, file):
    save(state, file)
    file.seek(0, 2)
    file.truncate(file.tell() // 2)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)

torch.save = save_half
save_checkpoint(Path(sys.argv[1]), {"iteration": 2})
"""


def test_a_kill_while_writing_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint" / "state.pt"
    save_checkpoint(path, {"iteration": 1})
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    killed = subprocess.run([sys.executable, "-c", DIE, str(path)], env=environment, timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert load_checkpoint(path) == {"iteration": 1}
    save_checkpoint(path, {"iteration": 3})
    assert load_checkpoint(path) == {"iteration": 3}


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('code from a checkpoint ran')",)


def test_a_checkpoint_that_holds_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"state": Harmful()})  # with a checksum that is right
    with pytest.raises(CheckpointError, match=r"state\.pt can't be used"):
        load_checkpoint(path)
    torch.save({"state": Harmful()}, path)
    with pytest.raises(CheckpointError, match=r"state\.pt can't be used"):
        load_checkpoint(path)


def flipped(content: bytes, at: float) -> bytes:
    changed = bytearray(content)
    changed[int(at * (len(content) - 1))] ^= 1
    return bytes(changed)


def of_other_content(_: bytes) -> bytes:
    other = io.BytesIO()
    torch.save({"iteration": 7}, other)
    return other.getvalue()


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    **{
        f"a bit flipped at {at}": functools.partial(flipped, at=at) for at in (0, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 1)
    },
    "emptied": lambda _: b"",
    "cut": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(256)) * 4,
    "another file of torch's": of_other_content,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_where_the_latest_checkpoint_is_damaged_the_one_before_it_serves(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes]
) -> None:
    path, before = tmp_path / "state.pt", tmp_path / "state_before.pt"
    for iteration in (1, 2, 3):
        save_checkpoint(path, {"iteration": iteration, "weights": torch.ones(100)})
    path.write_bytes(damage(path.read_bytes()))
    assert load_checkpoint(path)["iteration"] == 2
    assert f"{path} is damaged" in caplog.text
    assert load_checkpoint(path)["iteration"] == 2  # it has become the latest
    save_checkpoint(path, {"iteration": 3})
    for file in (path, before):
        file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(CheckpointError, match=f"{path} and {before} can't be used.*Delete both"):
        load_checkpoint(path)


def test_a_kill_between_the_two_renamings_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_checkpoint(path, {"iteration": 1})
    path.rename(tmp_path / "state_before.pt")
    assert load_checkpoint(path) == {"iteration": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["state.pt"]
