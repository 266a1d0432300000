"""`python -m gailfe.artifacts`: what is there, what is damaged, and what no run needs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from omegaconf import OmegaConf
from run_folders import announce, make_run

from gailfe.artifacts import main
from gailfe.storage.finished import write_summary
from gailfe.storage.locks import artifact_lock
from gailfe.storage.store import Store, artifact_key


def expert_recipe(env: str, seed: int) -> dict[str, Any]:
    return {"env": {"id": env}, "expert": {"seed": seed}}


def demonstrations_recipe(env: str, seed: int) -> dict[str, Any]:
    recipe: dict[str, Any] = {"env": {"id": env}, "expert": artifact_key(expert_recipe(env, seed))}
    return {**recipe, "annotator": {"name": "terminated"}, "demonstrations": {"num_trajectories": 4}}


def make(folder: Path) -> None:
    (folder / "content").write_text("paid for")


def add(store: Store, env: str, seed: int) -> tuple[Path, Path]:
    """An expert and its demonstrations."""
    return (
        store.get("experts", env, expert_recipe(env, seed), make),
        store.get("demonstrations", env, demonstrations_recipe(env, seed), make),
    )


@pytest.fixture
def needed(tmp_path: Path) -> tuple[Path, Path]:
    """Of the store, what the one run needs."""
    folders = add(Store(tmp_path / "artifacts"), "hopper", seed=0)
    run = make_run(tmp_path / "runs")
    key = artifact_key(demonstrations_recipe("hopper", 0))
    (run / "recipe.json").write_text(json.dumps({"demonstrations_key": key}))
    write_summary(run, {"iterations": 4, "stopped_early": False})
    return folders


@pytest.fixture
def unneeded(tmp_path: Path, needed: tuple[Path, Path]) -> tuple[Path, Path]:
    return add(Store(tmp_path / "artifacts"), "hopper", seed=1)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str]:
        code = main([*arguments, f"artifacts={tmp_path / 'artifacts'}", f"runs={tmp_path / 'runs'}"])
        return code, "".join(capsys.readouterr())

    return run


def name(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


def test_list_says_what_is_there_and_which_runs_need_it(
    command: Any, needed: tuple[Path, Path], unneeded: tuple[Path, Path]
) -> None:
    aside = needed[0].with_name(needed[0].name + ".corrupt-1")
    aside.mkdir()
    needed[0].with_name("hopper-0123456789ab.partial").mkdir()
    code, output = command("list")
    assert code == 0
    blocks = {
        block.split()[0]: block for block in output.replace("\nd", "\n\nd").replace("\ne", "\n\ne").split("\n\n")
    }
    assert "runs/hopper/gail/seed=0" in blocks[name(needed[0])]
    assert "num_trajectories=4, annotator=terminated" in blocks[name(needed[1])]
    assert "runs/hopper/gail/seed=0" in blocks[name(needed[1])]
    assert "needed by" not in blocks[name(unneeded[0])]
    assert "seed=1" in blocks[name(unneeded[0])]
    assert "set aside" in blocks[name(aside)]
    assert "interrupted" in blocks["experts/hopper-0123456789ab.partial"]
    assert "6 artefacts" in output


def test_verify_names_every_damaged_artefact_and_run(
    command: Any, tmp_path: Path, needed: tuple[Path, Path]
) -> None:
    assert command("verify") == (0, "2 artefacts and 1 finished runs: none damaged\n")
    metrics = tmp_path / "runs/hopper/gail/seed=0/metrics.csv"
    (needed[1] / "content").write_text("paid fir")
    metrics.write_text(metrics.read_text()[:-1])
    code, output = command("verify")
    assert code == 1
    assert f"{needed[1] / 'content'} is missing or is not what manifest.json says" in output
    assert f"{metrics} is missing or is not what summary.json says" in output
    assert "2 damaged" in output


def test_prune_shows_first_and_deletes_only_what_no_run_needs(
    command: Any, needed: tuple[Path, Path], unneeded: tuple[Path, Path]
) -> None:
    partial = needed[0].with_name("hopper-0123456789ab.partial")
    aside = needed[0].with_name(needed[0].name + ".corrupt-1")
    for folder in (partial, aside):
        folder.mkdir()
    code, output = command("prune")
    assert code == 0
    assert all(f"not needed: {name(folder)}" in output for folder in (*unneeded, aside))
    assert all(folder.exists() for folder in (*unneeded, aside))
    assert command("prune", "yes=true")[0] == 0
    assert [folder.exists() for folder in (*unneeded, aside)] == [False] * 3
    assert all(folder.exists() for folder in (*needed, partial))
    assert command("prune", "yes=true", "unfinished=true")[0] == 0
    assert not partial.exists()
    assert all(folder.exists() for folder in needed)


def test_prune_keeps_what_a_process_holds(command: Any, unneeded: tuple[Path, Path]) -> None:
    expert, demonstrations = unneeded
    with FileLock(artifact_lock(expert)):
        _, output = command("prune", "yes=true")
    assert f"kept: {name(expert)}" in output
    assert (expert.exists(), demonstrations.exists()) == (True, False)


def test_prune_keeps_what_a_run_that_has_no_recipe_yet_may_need(
    command: Any, tmp_path: Path, unneeded: tuple[Path, Path]
) -> None:
    other = add(Store(tmp_path / "artifacts"), "ant", seed=0)
    announce(tmp_path / "runs", ("hopper", "gailfe", 5))
    assert command("prune", "yes=true")[0] == 0
    assert all(folder.exists() for folder in unneeded)
    assert not any(folder.exists() for folder in other)
    (tmp_path / "runs/ant/gail/seed=0/.hydra").mkdir(parents=True)  # a single run, of which no list tells
    other = add(Store(tmp_path / "artifacts"), "ant", seed=0)
    assert command("prune", "yes=true")[0] == 0
    assert all(folder.exists() for folder in other)


@pytest.mark.parametrize("where", ["config.yaml", ".hydra/config.yaml"])
def test_prune_keeps_what_a_runs_configuration_names(
    where: str, command: Any, tmp_path: Path, needed: tuple[Path, Path], unneeded: tuple[Path, Path]
) -> None:
    run = tmp_path / "runs/ant/gail/seed=0"
    (run / where).parent.mkdir(parents=True)
    weaker = f"artifacts/experts/{unneeded[0].name}/checkpoints/000020"
    named = {"expert": {"folder": str(needed[0])}, "demonstrations": {"weaker_policies": [weaker]}}
    OmegaConf.save(named, run / where)
    (run / "recipe.json").write_text(json.dumps({"demonstrations_key": "of demonstrations that are gone"}))
    shutil.rmtree(tmp_path / "runs/hopper")
    assert command("list")[1].count(f"needed by {run}") == 2
    assert command("prune", "yes=true")[0] == 0
    assert [folder.exists() for folder in (*needed, *unneeded)] == [True, False, True, False]


def test_prune_keeps_all_of_the_environment_of_a_run_whose_recipe_is_damaged(
    command: Any, tmp_path: Path, needed: tuple[Path, Path]
) -> None:
    (tmp_path / "runs/hopper/gail/seed=0/recipe.json").write_bytes(b"\xff{}")
    assert command("prune", "yes=true")[0] == 0
    assert all(folder.exists() for folder in needed)


OTHERS = [[1], {}, {"key": ["k"], "recipe": {}}, {"key": "k", "recipe": [1]}, {"key": "k", "recipe": "r"}]


@pytest.mark.parametrize("content", OTHERS, ids=json.dumps)
def test_a_manifest_of_other_content_is_called_damaged_and_nothing_is_deleted(
    content: Any, command: Any, needed: tuple[Path, Path]
) -> None:
    (needed[1] / "manifest.json").write_text(json.dumps(content))
    code, output = command("list")
    assert code == 0
    assert f"{name(needed[1])}  0.0 MB  damaged: manifest.json can't be read" in output
    code, output = command("prune", "yes=true")
    assert code == 1
    assert str(needed[1] / "manifest.json") in output
    assert needed[0].exists()


@pytest.mark.parametrize("part", ["env", "expert", "annotator", "demonstrations"])
def test_a_recipe_of_other_content_is_listed(part: str, command: Any, needed: tuple[Path, Path]) -> None:
    manifest = json.loads((needed[1] / "manifest.json").read_text())
    manifest["recipe"][part] = [1]
    (needed[1] / "manifest.json").write_text(json.dumps(manifest))
    code, output = command("list")
    assert code == 0
    assert name(needed[1]) in output


def test_prune_is_refused_while_it_is_not_known_what_is_needed(
    command: Any, tmp_path: Path, needed: tuple[Path, Path]
) -> None:
    (needed[1] / "manifest.json").write_text("{")
    code, output = command("prune", "yes=true")
    assert code == 1
    assert str(needed[1] / "manifest.json") in output
    (tmp_path / "runs").rename(tmp_path / "moved")
    code, output = command("prune", "yes=true")
    assert (code, needed[0].exists()) == (1, True)
    assert f"runs={tmp_path / 'runs'} must be a folder" in output


@pytest.mark.parametrize("arguments", [[], ["lisst"], ["list", "prune"], ["prune", "yes=perhaps"]])
def test_wrong_arguments_are_refused(arguments: list[str], command: Any, needed: tuple[Path, Path]) -> None:
    code, output = command(*arguments)
    assert code == 2
    assert "valid" in output or "list, verify, prune" in output
