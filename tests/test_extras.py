"""How an optional part is installed: the hint suits where the package is."""

from pathlib import Path

import pytest

from gailfe.config import extras


def test_a_clone_installs_an_extra_with_its_pinned_versions() -> None:
    assert extras.install("video") == "pip install -c constraints.txt -e '.[video]'"


def test_an_installed_wheel_has_no_clone_to_install_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "CONF", tmp_path / "conf")
    assert extras.install("video") == "pip install 'gailfe[video]'"
