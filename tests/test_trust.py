"""What a user may rely on: no pickle is run unasked, nothing is written elsewhere, and no key is in any file."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import compose, unit_box

from expert.experts import expert_of
from expert.import_demonstrations import main
from gailfe.config.keys import ConfigError
from gailfe.nn.policy_file import ARCHITECTURE, WEIGHTS, load_policy
from gailfe.storage.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from gailfe.storage.store import ArtifactError

CONF = Path(__file__).parent / "conf"
KEY = "0123456789abcdef" * 2 + "01234567"  # as long as one of W&B's
WHERE = ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR")


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.file),)


def test_a_whole_pipeline_writes_only_where_it_is_told_to_and_no_key(tmp_path: Path) -> None:
    folders = {name: tmp_path / name.lower() for name in WHERE}
    working = tmp_path / "working"
    for folder in (*folders.values(), working):
        folder.mkdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "gailfe.run", "--config-dir", str(CONF), "experiment=tiny", "env=halfcheetah"),
            *("algo=gailfe", "paths.runs=out/runs", "paths.artifacts=out/artifacts"),
        ],
        cwd=working,
        env={**os.environ, **{name: str(folder) for name, folder in folders.items()}, "WANDB_API_KEY": KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in working.iterdir()] == ["out"]
    assert {path.name for path in (working / "out").iterdir()} == {"runs", "artifacts"}
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    # Caches that libraries keep for this user: where fonts are, W&B's own settings.
    elsewhere = [str(path.relative_to(tmp_path)) for path in written if working not in path.parents]
    caches = ("wandb", "matplotlib", "fontconfig")
    assert [path for path in elsewhere if not any(name in path for name in caches)] == []
    assert [path for path in written if KEY.encode() in path.read_bytes()] == []
    assert KEY not in done.stdout + done.stderr


def test_a_checkpoint_or_a_policy_that_holds_a_pickle_runs_nothing(tmp_path: Path) -> None:
    bomb, path = Bomb(tmp_path / "ran"), tmp_path / "state.pt"
    save_checkpoint(path, {"iteration": bomb})  # with a checksum that fits
    with pytest.raises(CheckpointError, match=f"{path} can't be used"):
        load_checkpoint(path)
    (tmp_path / ARCHITECTURE).write_text('{"hidden_sizes": [4], "activation": "tanh"}')
    torch.save({"weight": bomb}, tmp_path / WEIGHTS)
    with pytest.raises(ArtifactError, match=r"policy\.safetensors can't be read"):
        load_policy(tmp_path, 11, unit_box(3))
    assert not bomb.file.exists()


def test_arrays_that_hold_a_pickle_are_refused_and_run_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb, source = Bomb(tmp_path / "ran"), tmp_path / "my.npz"
    np.savez(source, observations=np.array([bomb], dtype=object))
    assert main([f"source={source}", f"out={tmp_path / 'out'}", "env=hopper"]) == 1
    assert capsys.readouterr().err.startswith(f"error: source={source}: ")
    assert not bomb.file.exists()


def test_a_model_of_sb3_is_not_opened_unless_the_user_trusts_it(tmp_path: Path) -> None:
    bomb, model = Bomb(tmp_path / "ran"), tmp_path / "model.zip"
    with zipfile.ZipFile(model, "w") as file:
        file.writestr("data", pickle.dumps(bomb))
        file.writestr("policy.pth", pickle.dumps(bomb))
    chosen = ["expert=sb3", f"expert.file={model}", "expert.algo=sac"]
    with pytest.raises(ConfigError, match=r"expert\.allow_pickle"):
        expert_of(compose("env=hopper", *chosen)).check()
    assert not bomb.file.exists()
