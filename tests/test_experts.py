"""The experts' learning curves, from a store to a figure and a table."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from analysis.experts import load_experts, main, page


def make_expert(artifacts: Path, name: str, env_id: str, seed: int, chosen: int, suffix: str = "") -> None:
    folder = artifacts / "experts" / f"{name}-{seed}{suffix}"
    folder.mkdir(parents=True)
    recipe = {"env": {"id": env_id}, "expert": {"seed": seed, "eval_episodes": 10}}
    (folder / "manifest.json").write_text(json.dumps({"recipe": recipe}))
    evaluation = {"episodes": 20, "iteration": chosen, "eval_return_mean": 1234.4 + seed, "eval_return_std": 5.0}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    rows = ["iteration,env_steps,eval_return_mean,eval_return_std,wall_time_s"]
    for iteration in range(1, 41):  # evaluated every tenth
        evaluated = f"{iteration * 30},1.5" if iteration % 10 == 0 else ","
        rows.append(f"{iteration},{iteration * 2048},{evaluated},{iteration * 0.5}")
    (folder / "curve.csv").write_text("\n".join(rows) + "\n")


@pytest.fixture
def artifacts(tmp_path: Path) -> Path:
    make_expert(tmp_path, "hopper", "Hopper-v5", 1, chosen=30)
    make_expert(tmp_path, "hopper", "Hopper-v5", 0, chosen=40)
    make_expert(tmp_path, "ant", "Ant-v5", 0, chosen=20)
    (tmp_path / "experts" / "ant-1.partial").mkdir()
    make_expert(tmp_path, "ant", "Ant-v5", 2, chosen=20, suffix=".partial")  # complete, but not yet in its place
    make_expert(tmp_path, "ant", "Ant-v5", 0, chosen=20, suffix=".corrupt-17")  # damaged, and made again since
    return tmp_path


def make_foreign_expert(artifacts: Path) -> None:
    """As expert=sb3 leaves it: no training, so no curve, no seed and no checkpoint that was chosen."""
    folder = artifacts / "experts" / "hopper-sb3"
    folder.mkdir(parents=True)
    recipe = {"env": {"id": "Hopper-v5"}, "expert": {"algo": "sac", "eval_episodes": 10}}
    (folder / "manifest.json").write_text(json.dumps({"recipe": recipe}))
    evaluation = {"episodes": 50, "eval_return_mean": 3210.0, "eval_return_std": 7.0}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))


def test_experts_are_read_by_task_and_seed_with_the_checkpoint_that_was_chosen(artifacts: Path) -> None:
    experts = load_experts(artifacts)
    assert [(e.env_id, e.settings["seed"]) for e in experts] == [("Ant-v5", 0), ("Hopper-v5", 0), ("Hopper-v5", 1)]
    assert [len(e.curve) for e in experts] == [4, 4, 4]
    assert [e.chosen["env_steps"] for e in experts] == [20 * 2048, 40 * 2048, 30 * 2048]


def test_the_table_says_what_each_achieves_and_what_it_cost(artifacts: Path) -> None:
    line = page(load_experts(artifacts)).splitlines()[-1]
    assert line == "| Hopper-v5 | 1 | 1235 ± 5 | 20 | 61,440 | 81,920 | 20 |"


def test_the_command_draws_and_writes_the_curves(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = artifacts / "out"
    assert main([f"artifacts={artifacts}", f"out={out}"]) == 0
    assert {path.name for path in out.iterdir()} == {"experts.png", "experts.pdf", "curves.csv"}
    curves = pd.read_csv(out / "curves.csv")
    assert len(curves) == 12
    assert set(curves["env"]) == {"Ant-v5", "Hopper-v5"}
    assert str(out / "experts.png") in capsys.readouterr().out


def test_an_expert_trained_elsewhere_is_in_the_table_and_the_others_are_drawn(
    artifacts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_foreign_expert(artifacts)
    out = artifacts / "out"
    assert main([f"artifacts={artifacts}", f"out={out}"]) == 0
    assert "| Hopper-v5 | – | 3210 ± 7 | 50 | – | – | – |" in capsys.readouterr().out
    assert len(pd.read_csv(out / "curves.csv")) == 12
    assert (out / "experts.png").exists()


def test_a_store_of_experts_trained_elsewhere_alone_has_a_table_and_no_figure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_foreign_expert(tmp_path)
    assert main([f"artifacts={tmp_path}", f"out={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "3210 ± 7" in printed
    assert "no learning curve" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["manifest.json", "evaluation.json", "curve.csv"])
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b"{}", b"\xff", b"a,b\n1,2\n"])
def test_an_expert_with_a_damaged_file_is_named_and_left_out(
    name: str, content: bytes, artifacts: Path, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = artifacts / "experts" / "hopper-0"
    (damaged / name).write_bytes(content)
    assert [(e.env_id, e.settings["seed"]) for e in load_experts(artifacts)] == [("Ant-v5", 0), ("Hopper-v5", 1)]
    assert f"skipped {damaged}: a file is damaged" in caplog.text


def test_a_store_without_experts_and_a_wrong_key_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([f"artifacts={tmp_path}"]) == 1
    assert "no finished expert" in capsys.readouterr().err
    assert main(["artefacts=x"]) == 2
    assert "artefacts" in capsys.readouterr().err
