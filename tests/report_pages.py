"""A study with its page, and what a test sees of such a page."""

import itertools
import json
from html.parser import HTMLParser
from pathlib import Path

from run_folders import announce, make_run, make_sweep

from analysis import report

HOSTILE = "algo.x=<img src=x onerror=alert(1)>\"'&<!--"


class Page(HTMLParser):
    """Every element with its attributes; the cells of tables; scripts; and all other text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.cells: list[str] = []
        self.scripts: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._inside = tag
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside in ("td", "th"):
            self.cells[-1] += data
        if self._inside not in ("script", "style"):
            self.text += data

    def values(self, attribute: str) -> list[str | None]:
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    @property
    def content(self) -> dict:
        """What the charts show."""
        return json.loads(self.scripts[0])


def write(*arguments: str) -> None:
    assert report.main(list(arguments)) == 0


def make_study(folder: Path) -> Path:
    """A half-done sweep with a hostile setting, a finished video and values of D; its page is in it."""
    make_sweep(folder)
    for seed in (0, 1):
        make_run(folder, "hopper", "gailfe", seed, {2: 50.0, 4: 400.0}, folder_name=f"seed={seed},{HOSTILE}")
    for metrics in folder.rglob("metrics.csv"):
        lines = metrics.read_text().splitlines()
        rows = [f"{line},{0.5 + 0.1 * number},{30.0 * number}" for number, line in enumerate(lines[1:])]
        metrics.write_text("\n".join([f"{lines[0]},d_policy,wall_time_s", *rows]) + "\n")
    announce(folder, *itertools.product(["hopper", "halfcheetah"], ["gail", "gailfe"], [0, 1, 2]))
    (folder / "hopper/gail/seed=0/video.mp4").write_bytes(b"not really a video")
    write(f"runs={folder}", "title=A </script><script>alert(1)</script> study")
    return folder
