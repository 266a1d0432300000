"""Who imports whom: the sources against the picture in docs/house.md."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("gailfe", "expert", "analysis", "hydra_plugins", "benchmarks", "conf")
ROOMS = {folder.name for folder in (ROOT / "gailfe").iterdir() if (folder / "__init__.py").exists()}

# The modules of gailfe/ itself that know all three stages; "" is gailfe/__init__.py.
STAGES = {"run", "pipeline", "evaluate", "watch", "library", "rollouts", "given", ""}


def room_of(module: str) -> str:
    """The room of a module by its dotted name; the modules that lie directly in gailfe/ are two rooms."""
    package, _, rest = module.partition(".")
    inner = rest.partition(".")[0]
    if package != "gailfe":
        return package
    return inner if inner in ROOMS else "stages" if inner in STAGES else "frame"


def modules() -> dict[str, Path]:
    """Every source file of the packages, by its dotted name."""
    files = (path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files
    }


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports, within functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively, which this test does not follow"
            # `from gailfe import training` imports a module; `from gailfe.training import train` a name of one.
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows() -> dict[str, set[str]]:
    """The picture: each room, and the rooms that its arrows reach, directly or through others."""
    picture = (ROOT / "docs" / "house.md").read_text()
    edges = re.findall(r"^ +(\w+)(?:\[.*?\])? --> (\w+)", picture, re.MULTILINE)
    reached = {room: {below for above, below in edges if above == room} for edge in edges for room in edge}
    for _ in reached:
        for below in reached.values():
            below |= {further for room in set(below) for further in reached[room]}
    return reached


def test_the_picture_shows_every_room_and_its_arrows_lead_nowhere_back() -> None:
    reached = arrows()
    assert set(reached) == {room_of(module) for module in modules()} | {"tests"}
    assert [room for room, below in reached.items() if room in below] == []


def test_every_import_follows_an_arrow_of_the_picture() -> None:
    reached, upward = arrows(), set()
    for module, path in modules().items():
        own = room_of(module)
        for imported in imports_of(path):
            room = room_of(imported)
            if imported.partition(".")[0] in PACKAGES and room != own and room not in reached[own]:
                upward.add((module, room))
    assert upward == set()
