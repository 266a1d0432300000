"""`python -m gailfe.run --help`."""

from __future__ import annotations

import subprocess
import sys

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
