"""metrics.csv: every row on disk at once, and what a kill may leave of it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from gailfe.algorithms.imitation import Imitator
from gailfe.storage.tracking import MetricsFile, columns, read_rows

COLUMNS = columns(Imitator.METRICS)

# What the design promises to whoever reads a run folder.
PROMISED = [
    *["iteration", "env_steps", "wall_time_s", "return_mean", "return_std", "episode_length_mean", "episodes"],
    *["eval_return_mean", "eval_return_std", "d_policy", "d_expert", "d_failed", "log_d_failed", "lambda_f"],
    *["failure_buffer_trajectories", "kl", "entropy", "value_loss", "discriminator_loss", "steps_per_s"],
]


def rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def write(path: Path, iterations: int, keep: int = 0) -> Path:
    metrics = MetricsFile(path, COLUMNS, keep)
    for iteration in range(keep + 1, iterations + 1):
        metrics.log({"iteration": iteration, "kl": iteration / 3, "steps_per_s": 1e5 + iteration})
    metrics.close()
    return path


def test_the_promised_columns_are_there_from_the_start(tmp_path: Path) -> None:
    MetricsFile(tmp_path / "metrics.csv", COLUMNS, keep=0).close()
    header = (tmp_path / "metrics.csv").read_text().splitlines()
    assert header == [",".join(COLUMNS)]
    assert set(PROMISED) <= set(COLUMNS)
    assert len(set(COLUMNS)) == len(COLUMNS)


def test_a_row_is_on_disk_when_log_returns_and_what_does_not_exist_is_an_empty_cell(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.csv", COLUMNS, keep=0)
    for iteration in (1, 2):
        metrics.log({"iteration": iteration, "kl": 0.1 + 0.2})
        assert len(rows(tmp_path / "metrics.csv")) == iteration
    (first, _) = rows(tmp_path / "metrics.csv")
    assert {key: value for key, value in first.items() if value} == {"iteration": "1", "kl": repr(0.1 + 0.2)}
    assert set(first) == set(COLUMNS)
    metrics.close()


def test_an_unknown_column_is_refused_and_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path / "metrics.csv", COLUMNS, keep=0)
    metrics.log({"iteration": 1})
    with pytest.raises(ValueError, match="entropie"):
        metrics.log({"iteration": 2, "entropie": 1.0})
    metrics.log({"iteration": 2, "entropy": 1.0})
    metrics.close()
    assert [row["iteration"] for row in rows(tmp_path / "metrics.csv")] == ["1", "2"]


@pytest.mark.parametrize("keep", [0, 1, 3, 5])
def test_rows_after_the_checkpoint_are_dropped_and_those_before_stay_as_they_are(
    tmp_path: Path, keep: int
) -> None:
    path = write(tmp_path / "metrics.csv", 5)
    before = path.read_bytes().splitlines(keepends=True)
    MetricsFile(path, COLUMNS, keep).close()
    assert path.read_bytes().splitlines(keepends=True) == before[: keep + 1]
    if keep < 5:
        assert write(path, 5, keep).read_bytes() == b"".join(before)
    assert [file.name for file in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_line_cut_anywhere_is_dropped(tmp_path: Path) -> None:
    whole = write(tmp_path / "metrics.csv", 3).read_bytes()
    lines = whole.splitlines(keepends=True)
    last, header = len(lines[-1]), len(lines[0])
    path = tmp_path / "cut.csv"
    for cut in range(2, last + 1, 3):  # what is missing: at least the line ending, at most all of the last line
        path.write_bytes(whole[: len(whole) - cut])
        MetricsFile(path, COLUMNS, keep=2).close()
        assert path.read_bytes() == b"".join(lines[:-1])
    for left in (0, 1, header // 2, header - 2):
        path.write_bytes(whole[:left])
        MetricsFile(path, COLUMNS, keep=0).close()
        assert path.read_bytes() == lines[0]


def test_a_file_that_lacks_rows_of_its_checkpoint_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    before = write(tmp_path / "metrics.csv", 3).read_bytes()
    with pytest.raises(ValueError, match=r"metrics\.csv has 3 of the 4 rows"):
        MetricsFile(tmp_path / "metrics.csv", COLUMNS, keep=4)
    assert (tmp_path / "metrics.csv").read_bytes() == before


def test_rows_are_read_as_they_were_logged(tmp_path: Path) -> None:
    logged = [{"iteration": 1, "env_steps": 0, "kl": 0.1 + 0.2, "entropy": -3.0}, {"iteration": 2, "kl": 1e-20}]
    metrics = MetricsFile(tmp_path / "metrics.csv", COLUMNS, keep=0)
    for row in logged:
        metrics.log(row)
    metrics.close()
    assert read_rows(tmp_path / "metrics.csv") == logged
    assert [type(value) for value in read_rows(tmp_path / "metrics.csv")[0].values()] == [int, int, float, float]
