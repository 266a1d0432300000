"""The pages: what they link to is there, what they repeat is as in the code, and the site is built of them."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gailfe.config import reference

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def links(page: Path) -> list[tuple[str, Path, str]]:
    """Text, file and anchor of a page's links into the repository."""
    found = re.findall(r"\[([^\[\]]*)\]\(([^)\s]*)\)", page.read_text())
    inside = [(text, *target.partition("#")[::2]) for text, target in found if "://" not in target]
    return [(text, (page.parent / file).resolve() if file else page, anchor) for text, file, anchor in inside]


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    for text, file, anchor in links(page):
        assert file.exists(), f"{page.name}: {text}"
        assert not anchor or anchor in anchors(file), f"{page.name}: {text}#{anchor}"


def test_the_method_names_functions_and_tests_that_exist_where_it_says() -> None:
    named = [(text.strip("`"), file) for text, file, _ in links(ROOT / "docs" / "method.md") if text[0] == "`"]
    assert len(named) > 20
    for name, file in named:
        inside = ast.parse(file.read_text()).body
        for part in name.split("."):
            found = [
                node for node in inside if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == part
            ]
            assert found, f"{name} is not in {file.relative_to(ROOT)}"
            inside = found[0].body


def test_the_code_on_the_methods_page_is_that_of_the_files_it_links_to() -> None:
    page = ROOT / "docs" / "method.md"
    sources = [unindented(file.read_text()) for _, file, _ in links(page) if file.suffix == ".py"]
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        assert any(unindented(block) in source for source in sources), block


def unindented(code: str) -> str:
    return "\n".join(line.strip() for line in code.splitlines())


def test_the_configuration_reference_is_that_of_the_code() -> None:
    written = (ROOT / "docs" / "configuration.md").read_text()
    assert written == reference.page(), "python -m gailfe.config.reference > docs/configuration.md"


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", "docs", ".", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    front = (tmp_path / "docs" / "index.html").read_text()
    for page in PAGES[1:]:  # the README is GitHub's alone
        link = os.path.relpath(page.with_suffix(".html"), ROOT / "docs")
        assert f'href="{link}' in front or page.stem == "index", f"the table of contents lacks {page.name}"
    method = (tmp_path / "docs" / "method.html").read_text()
    assert "<math" in method
    assert re.search(r'href="../code/gailfe/algorithms/discriminator.py.html#L-\d+"', method)
    assert 'id="gailfe.imitate"' in (tmp_path / "docs" / "python.html").read_text()
