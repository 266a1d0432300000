"""The pages: what they link to is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


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
