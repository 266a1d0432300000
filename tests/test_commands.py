"""The commands in any working directory, also one with packages of its own, and as they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import gailfe
from analysis import experts, figure1, mechanism, report
from expert import import_demonstrations
from gailfe import evaluate, watch
from gailfe.config.keys import ConfigError
from gailfe.config.writable import check_paths

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


LONG = "n" * 300


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
        ("paths.artifacts=???", "Missing mandatory value: paths.artifacts"),
        ("paths.runs=${nowhere}", "Interpolation key 'nowhere' not found"),
        (f"study={LONG}", f"study={LONG} must be the name of a folder"),
        (f"algo.name={LONG}", f"algo.name={LONG} must be the name of a folder"),
    ],
)
def test_folders_that_cannot_be_written_are_refused_before_any_is_made(
    argument: str, said: str, mode: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = python(tmp_path, "-m", "gailfe.run", *mode, "tracking=none", argument)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {said.replace('{}', str(tmp_path))}")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("value", [LONG, f"a/{LONG}/b", "/proc/zz"])
def test_a_folder_that_no_file_system_can_have_is_refused(value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"paths\.runs=.* must be a folder that can be written: \S"):
        check_paths({"artifacts": str(tmp_path), "runs": value})


WRITERS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {  # and the argument that says where to
    "import_demonstrations": (import_demonstrations.main, "source=nowhere.npz out"),
    "evaluate": (evaluate.main, "run=nowhere publish"),
    "watch": (watch.main, "run=nowhere out"),
    "figure1": (figure1.main, "runs=nowhere out"),
    "report": (report.main, "runs=nowhere out"),
    "mechanism": (mechanism.main, "runs=nowhere out"),
    "experts": (experts.main, "artifacts=nowhere out"),
}


@pytest.mark.parametrize("place", ["file/zz", "/proc/zz", f"{LONG}/zz"])
@pytest.mark.parametrize(("main", "arguments"), WRITERS.values(), ids=WRITERS)
def test_where_a_command_cannot_write_is_named_before_its_work(
    main: Callable[[Sequence[str]], int],
    arguments: str,
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    *others, key = arguments.split()
    video = "/v.mp4" if main is watch.main else ""
    assert main([*others, f"{key}={place}{video}"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {key}={place} must be a folder that can be written: ")
    assert said.count("\n") == 1
    with pytest.raises(ConfigError, match=rf"folder={place} must be a folder that can be written"):
        gailfe.imitate("Pendulum-v1", [], folder=place)


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
