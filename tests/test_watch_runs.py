"""`python -m gailfe.watch`: runs and their expert side by side, on an environment that needs no OpenGL."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import user_envs  # noqa: F401  (registers Drawn-v0)
from helpers import compose, make_policy, unit_box
from omegaconf import OmegaConf

from expert.video import CAPTION, GAP
from gailfe.evaluate import main as evaluate
from gailfe.nn.policy_file import save_policy
from gailfe.watch import folders, main

Captured = pytest.CaptureFixture[str]


def drawn_run(folder: Path, seed: int, expert: Path | None = None, **env: Any) -> Path:
    """A run with a policy of random weights; without an expert's folder, of a dataset's demonstrations."""
    stages = ["expert=pretrained", f"expert.folder={expert}"] if expert else []
    stages += [] if expert else ["demonstrations=minari", "demonstrations.dataset=mine"]
    config = compose("env=pendulum", "annotator=terminated", "env.terminates=true", *stages)
    config.env = replace(config.env, name="drawn", id="user_envs:Drawn-v0", **env)
    folder.mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(asdict(config)), folder / "config.yaml")
    (folder / "recipe.json").write_text("{}")
    save_policy(folder, make_policy(1, space=unit_box(1), seed=seed, spread=0.5), 4)
    return folder


def size(path: Path) -> tuple[int, int]:
    return next(pytest.importorskip("imageio_ffmpeg").read_frames(str(path)))["size"]


def test_runs_are_filmed_beside_their_expert(
    tmp_path: Path, capsys: Captured, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    pytest.importorskip("imageio_ffmpeg")
    assert evaluate([f"run={drawn_run(tmp_path / 'teacher', 0)}", f"publish={tmp_path / 'expert'}"]) == 0
    runs = [
        drawn_run(tmp_path / name, seed, tmp_path / "expert") for seed, name in enumerate(("seed=0", "seed=1"))
    ]
    assert main([f"run={runs[0]},{runs[1]}"]) == 0
    assert size(tmp_path / "video.mp4") == (3 * 40 + 2 * GAP, CAPTION + 32)  # of several runs, beside them
    assert "without the expert" not in capsys.readouterr().out
    for title in ("gailfe seed=0, iteration 4 of 300", "gailfe seed=1, iteration 4 of 300", "expert"):
        assert f"{title}: the episode of median return" in caplog.text


def test_a_run_without_an_expert_is_filmed_alone_and_says_so(tmp_path: Path, capsys: Captured) -> None:
    pytest.importorskip("imageio_ffmpeg")
    folder = drawn_run(tmp_path / "seed=0,algo.gamma=0.9", 0)
    assert main([f"run={folder}"]) == 0
    assert size(folder / "video.mp4") == (40, CAPTION + 32)
    assert "without the expert: " in (told := capsys.readouterr().out)
    assert told.splitlines()[-1] == str(folder / "video.mp4")


def test_what_cannot_be_rendered_or_compared_is_refused(tmp_path: Path, capsys: Captured) -> None:
    blind = drawn_run(tmp_path / "blind", 0, kwargs={"frame": None})
    assert main([f"run={blind}"]) == 1
    assert "env.id=user_envs:Drawn-v0 can't be rendered" in capsys.readouterr().err
    other = drawn_run(tmp_path / "other", 0)
    assert main([f"run=[{blind},{other}]"]) == 2
    assert f"run={other} is of " in capsys.readouterr().err
    assert main([]) == 2
    assert not list(tmp_path.rglob("*.mp4"))


def test_commas_in_the_names_of_runs_separate_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("seed=0", "seed=0,algo.gamma=0.9"):
        Path(name).mkdir()
    given = ["seed=0", "seed=0", "algo.gamma=0.9", "none"]
    assert [str(path) for path in folders(given)] == ["seed=0", "seed=0,algo.gamma=0.9", "none"]
