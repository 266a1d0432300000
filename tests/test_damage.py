"""Files of a run or of a half-trained expert are damaged: what goes on, from where, and what is said."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from algorithms import rows, run, run_killed_after, small_run, weights
from filelock import FileLock
from helpers import compose, flip, shorten

from analysis.report_runs import read_files
from analysis.runs import read_run
from expert.experts import make_expert
from gailfe.artifacts import main
from gailfe.pipeline import HOLDER, RunIsBusy, held
from gailfe.storage.checkpoint import CheckpointError
from gailfe.storage.locks import run_lock
from gailfe.storage.progress import Progress
from gailfe.storage.store import Store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happens to."""
    return run(small_run("gailfe"), tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, killed after iteration 5: its checkpoints are of iterations 4 and 2."""
    return run_killed_after(5, small_run("gailfe"), tmp_path_factory.mktemp("interrupted") / "run")


@pytest.fixture
def killed(interrupted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


DAMAGES: dict[str, tuple[Callable[[Path], object], int, str]] = {  # and after which iteration the run goes on
    "checkpoint flipped": (lambda run: flip(run / "checkpoint/state.pt"), 2, "state.pt is damaged"),
    "checkpoint gone": (
        lambda run: (run / "checkpoint/state.pt").unlink(),
        2,
        "state_before.pt takes the place of state.pt",
    ),
    "rows shortened to 3": (
        lambda run: shorten(run / "metrics.csv", 4),
        2,
        "no longer has the rows of iterations 1 to 4",
    ),
    "rows shortened to 1": (lambda run: shorten(run / "metrics.csv", 2), 0, "starts again"),
    "rows emptied": (lambda run: (run / "metrics.csv").write_bytes(b""), 0, "starts again"),
    "rows gone": (lambda run: (run / "metrics.csv").unlink(), 0, "starts again"),
    "rows are garbage": (lambda run: (run / "metrics.csv").write_bytes(bytes(range(256)) * 9), 0, "starts again"),
    "a row changed": (
        lambda run: (run / "metrics.csv").write_text(
            (run / "metrics.csv").read_text().replace("\n1,128", "\n1,129").replace("\n1,64", "\n1,65")
        ),
        0,
        "starts again",
    ),
}


@pytest.mark.parametrize(("damage", "after", "said"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_run_goes_on_from_where_it_is_whole_and_ends_as_if_nothing_had_happened(
    damage: Callable[[Path], object],
    after: int,
    said: str,
    killed: Path,
    whole: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    damage(killed)
    run(small_run("gailfe"), killed)
    assert said in caplog.text
    assert (f"resumed after iteration {after}" in caplog.text) == (after > 0)
    assert rows(killed) == rows(whole)
    assert weights(killed) == weights(whole)


def test_a_run_whose_checkpoints_are_both_damaged_is_refused_in_a_sentence_and_left_as_it_is(killed: Path) -> None:
    files = [killed / "checkpoint/state.pt", killed / "checkpoint/state_before.pt"]
    for file in files:
        flip(file)
    before = {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}
    with pytest.raises(CheckpointError, match=f"{files[0]} and {files[1]} can't be used"):
        run(small_run("gailfe"), killed)
    assert before == {path: path.read_bytes() for path in killed.rglob("*") if path.is_file()}


def test_the_checkpoint_of_another_run_is_refused_by_what_differs(killed: Path, tmp_path: Path) -> None:
    other = run_killed_after(3, small_run("gailfe", "seed=7"), tmp_path / "other")
    shutil.copyfile(other / "checkpoint/state.pt", killed / "checkpoint/state.pt")
    with pytest.raises(CheckpointError, match=r"state\.pt is of another training \(seed was 7, now 0\)"):
        run(small_run("gailfe"), killed)


def test_a_finished_run_that_goes_on_is_whole_and_not_finished(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run(small_run("gail", "env.num_iterations=4"), tmp_path / "run")
    (tmp_path / "artifacts").mkdir()
    verify = ["verify", f"runs={tmp_path}", f"artifacts={tmp_path / 'artifacts'}"]
    checkpoints = [folder / "checkpoint/state.pt", folder / "checkpoint/state_before.pt"]
    contents = [path.read_bytes() for path in checkpoints]
    for path in checkpoints:
        flip(path)
    with pytest.raises(CheckpointError):
        run(small_run("gail"), folder)
    assert main(verify) == 0
    assert "1 finished runs: none damaged" in capsys.readouterr().out, "it has not gone on"
    for path, content in zip(checkpoints, contents, strict=True):
        path.write_bytes(content)
    run_killed_after(1, small_run("gail"), folder)
    assert len(rows(folder)) == 5
    assert main(verify) == 0
    assert "0 finished runs: none damaged" in capsys.readouterr().out
    caplog.clear()
    assert read_run(folder) is not None
    assert caplog.text == ""
    files = read_files(folder)
    assert files is not None
    assert not files.finished


@pytest.mark.parametrize("holder", [None, b"\xff\xfe"])
def test_who_holds_a_run_is_unknown_where_its_file_is_gone_or_damaged(
    holder: bytes | None, tmp_path: Path
) -> None:
    if holder is not None:
        (tmp_path / HOLDER).write_bytes(holder)
    refused = pytest.raises(RunIsBusy, match="process of unknown number")
    with FileLock(run_lock(tmp_path)), refused, held(tmp_path, wait=False):
        pass


class Killed(BaseException):
    """The end of a process, as far as a test can have it."""


EXPERT_DAMAGES: dict[str, tuple[str, int, str]] = {  # which file, and after which iteration the training goes on
    "checkpoint": ("checkpoint.pt", 3, "checkpoint.pt is damaged"),
    "a late policy": ("checkpoints/000004/policy.safetensors", 3, "policy.safetensors is missing or is not what"),
    "an early policy": ("checkpoints/000001/policy.safetensors", 0, "the training starts again"),
    "an early evaluation": ("checkpoints/000001/evaluation.json", 0, "the training starts again"),
}


@pytest.mark.parametrize(("name", "after", "said"), EXPERT_DAMAGES.values(), ids=EXPERT_DAMAGES)
def test_an_experts_training_goes_on_from_where_it_is_whole(
    name: str,
    after: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    config = compose(
        *("env=pendulum", "env.max_episode_steps=10", "expert.total_steps=768", "expert.steps_per_iteration=128"),
        *("expert.eval_every=1", "expert.eval_episodes=1", "expert.epochs=1", "expert.finalist_episodes=1"),
        "expert.final_eval_episodes=1",
    )

    def update(self: Progress, done: int, note: str = "") -> None:
        if done == 4 * 128:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Progress, "update", update)
        with pytest.raises(Killed):
            make_expert(config, Store(tmp_path / "killed"))
    (partial,) = (tmp_path / "killed").glob("experts/*.partial")
    flip(partial / name)
    folders = [make_expert(config, Store(tmp_path / name)) for name in ("killed", "whole")]
    assert said in caplog.text
    assert ("resumed after iteration" in caplog.text) == (after > 0)
    assert (f"resumed after iteration {after}" in caplog.text) == (after > 0)
    assert weights(folders[0]) == weights(folders[1])
    assert sorted(path.name for path in folders[0].iterdir()) == sorted(path.name for path in folders[1].iterdir())
    assert not list(folders[0].glob("checkpoint*.pt"))
