"""`python -m gailfe.run --help`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gailfe.config.folders import CONF
from gailfe.config.help import help_page


def test_help_lists_every_option_of_every_group_with_a_line_about_it() -> None:
    lines = help_page("usage").splitlines()
    assert lines[0] == "usage"
    options = [path for path in CONF.glob("*/*.yaml") if not path.stem.startswith("_")]
    assert len(options) > 15
    for path in options:
        (line,) = [line for line in lines if line.split()[:1] == [f"{path.parent.name}={path.stem}"]]
        assert len(line.split()) >= 3, path


def test_help_lists_the_options_of_a_folder_of_ones_own_beside_the_built_in_ones(tmp_path: Path) -> None:
    files = {"env/mine.yaml": "# My robot: python -m …", "env/hopper.yaml": "# Other", "extra/a.yaml": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    page = help_page("usage", tmp_path)
    assert f"  env=mine                      My robot ({tmp_path})\n" in page
    assert "  env=hopper                    not used: there is a built-in hopper\n" in page
    assert "extra:\n  extra=a " in page
    assert (
        page.index("env=hopper ") < page.index("env=walker2d ") < page.index("env=mine ") < page.index("expert=")
    )


def test_help_does_not_wait_for_torch() -> None:
    script = """
import sys, gailfe.run
sys.argv = ["gailfe", "--help"]
gailfe.run.main()
assert not {"torch", "mujoco", "pandas"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "algo=gailfe" in done.stdout
