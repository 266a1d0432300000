"""The commands in any working directory, also one with packages of its own, and as they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gailfe.config.folders import check_paths
from gailfe.config.keys import ConfigError

ROOT = Path(__file__).parents[1]
SCRIPTS: dict[str, str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
PACKAGES = ("conf", "expert", "analysis")

# What pip writes for an installed command: Python then looks for packages beside this file, not where one stands.
INSTALLED = "import sys\nfrom {module} import {function}\nsys.exit({function}())\n"


def working_directory(folder: Path, *packages: str) -> Path:
    """A folder with packages that must not be imported."""
    for package in packages:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text("raise RuntimeError('the wrong package')\n")
    return folder


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Python in `folder`, to which this checkout is what pip has installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("package", ["expert", "analysis"])
def test_a_package_that_hides_one_of_ours_is_refused_and_named(package: str, tmp_path: Path) -> None:
    folder = working_directory(tmp_path, package)
    done = python(folder, "-m", "gailfe.run", "--cfg", "job")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder / package} is imported as the package {package}")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["algo.gamma=2"], "algo.gamma=2.0"),
        (["demonstrations=minari", "demonstrations.dataset=nowhere"], "demonstrations.dataset=nowhere"),
    ],
)
def test_a_conf_folder_of_ones_own_is_no_obstacle_and_a_refused_key_leaves_no_folder(
    arguments: list[str], named: str, tmp_path: Path
) -> None:
    folder = working_directory(tmp_path, "conf")
    done = python(folder, "-m", "gailfe.run", "tracking=none", *arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {named}")
    assert "Traceback" not in done.stderr
    assert [path.name for path in folder.iterdir()] == ["conf"]


@pytest.mark.parametrize("mode", [[], ["-m"]])
@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("paths.runs=", "paths.runs='' must be the path of a folder, not empty"),
        ("paths.artifacts=", "paths.artifacts='' must be the path of a folder, not empty"),
        (
            "paths.runs=file/runs",
            "paths.runs=file/runs must be a folder that can be written: {}/file is no folder",
        ),
    ],
)
def test_folders_that_cannot_be_written_are_refused_before_any_is_made(
    argument: str, said: str, mode: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = python(tmp_path, "-m", "gailfe.run", *mode, "tracking=none", argument)
    assert done.returncode == 1
    assert done.stderr == f"error: {said.format(tmp_path)}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full_from_the_start_is_called_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_paths({"runs": str(tmp_path / "runs")})
    full = shutil.disk_usage(tmp_path)._replace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(ConfigError, match=f"paths.runs={tmp_path}/runs .*the disk is full"):
        check_paths({"runs": str(tmp_path / "runs")})


def test_a_refused_key_leaves_a_run_that_is_there_alone(tmp_path: Path) -> None:
    run = tmp_path / "runs/figure1/hopper/gailfe/seed=0"
    run.mkdir(parents=True)
    (run / "metrics.csv").write_text("iteration\n1\n")
    done = python(tmp_path, "-m", "gailfe.run", "device=gpu")
    assert done.stderr.startswith("error: device=gpu")
    assert (run / "metrics.csv").read_text() == "iteration\n1\n"


def test_every_command_of_the_packages_is_installed() -> None:
    modules = {
        f"{path.parent.name}.{path.stem}"
        for package in ("gailfe", "expert", "analysis")
        for path in (ROOT / package).glob("*.py")
        if '__name__ == "__main__"' in path.read_text()
    }
    assert {target.removesuffix(":main") for target in SCRIPTS.values()} == modules


def test_every_installed_command_has_its_help_in_any_working_directory(tmp_path: Path) -> None:
    calls = "\n".join(
        f"from {target.split(':')[0]} import {target.split(':')[1]} as command; print('{name}:'); command()"
        for name, target in SCRIPTS.items()
    )
    script = tmp_path / "bin" / "all"
    script.parent.mkdir()
    script.write_text(f"import sys\nsys.argv[1:] = ['--help']\n{calls}\n")
    done = python(working_directory(tmp_path / "here", *PACKAGES), str(script))
    assert done.returncode == 0, done.stderr
    for name, target in SCRIPTS.items():
        page = done.stdout.split(f"{name}:\n")[1]
        assert f"python -m {target.split(':')[0]} " in page.split("\ngailfe-")[0]
    assert "env=hopper" in done.stdout
    assert not {"_ppo", "_trpo", "== Groups"} & set(done.stdout.split())


def test_a_sweep_of_an_installed_command_works_in_any_working_directory(tmp_path: Path) -> None:
    module, function = SCRIPTS["gailfe-expert-evaluate"].split(":")
    script = tmp_path / "bin" / "gailfe-expert-evaluate"
    script.parent.mkdir()
    script.write_text(INSTALLED.format(module=module, function=function))
    folder = working_directory(tmp_path / "here", *PACKAGES)
    short = ["expert=pretrained", "episodes=1", "env.max_episode_steps=5", "seed=0,1"]
    done = python(folder, str(script), "-m", *short)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"env": "Hopper-v5"') == 2
