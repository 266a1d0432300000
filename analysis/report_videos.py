"""The videos that the page holds, and the commands that would make those that are not there."""

import base64
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from analysis.layout import Layout
from analysis.report_runs import RunFiles

TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}
LARGEST = 64 * 2**20  # bytes of all videos in the page; browsers get slow with more


@dataclass(frozen=True)
class Video:
    """A video; `source` is its content, or, where the page would get too large, its place relative to the page."""

    path: Path
    caption: str
    source: str
    embedded: bool


def link(path: Path, page: Path) -> str:
    """Return the address of a file from a page's folder, for `href`."""
    return quote(os.path.relpath(path, page.parent))


def find_videos(
    sources: Sequence[Path], given: Sequence[str], runs: Sequence[RunFiles], page: Path
) -> list[Video]:
    """Return the videos that were given, and those below the runs' folders, hidden folders aside.

    Args:
        page: where the page will be.
    """
    below = []
    for source in filter(Path.is_dir, sources):
        for folder, subfolders, files in os.walk(source):
            subfolders[:] = sorted(name for name in subfolders if not name.startswith(".") and name != "wandb")
            below += [Path(folder, name) for name in sorted(files) if not name.startswith(".")]
    chosen = [Path(name) for name in given] + [path for path in below if path.suffix in TYPES]
    unique = list({path.resolve(): path for path in reversed(chosen)}.values())[::-1]
    videos, room = [], LARGEST
    for path in unique:
        size = path.stat().st_size
        room -= size
        if room >= 0:
            content = base64.b64encode(path.read_bytes()).decode()
            address = f"data:{TYPES[path.suffix]};base64,{content}"
        else:
            address = link(path, page)
        videos.append(Video(path, caption_of(path, runs), address, room >= 0))
    return videos


def caption_of(path: Path, runs: Sequence[RunFiles]) -> str:
    """Return a run's name, where the video lies in its folder, or the file's."""
    for run in runs:
        if path.is_relative_to(run.folder):
            return f"{run.env}, {run.algo}, seed {run.seed}: {path.name}"
    return f"{path.parent.name}/{path.name}"


def commands(layout: Layout, runs: Sequence[RunFiles], videos: Sequence[Video]) -> list[tuple[str, str]]:
    """Return, for each task none of whose runs has a video: its title, and the command that makes one.

    It films one run of each algorithm, with a seed that all of them have, if there is one, and their expert.
    """
    lines = []
    for panel in layout.panels:
        own = {
            algo: [run for run in runs if (run.env, run.algo) == (panel.env, algo)]
            for algo in panel.lines.values()
        }
        there = {algo: theirs for algo, theirs in own.items() if theirs}
        folders = [run.folder for theirs in there.values() for run in theirs]
        if not there:
            continue
        # Where gailfe.watch puts it.
        together = Path(os.path.commonpath([folder.absolute() for folder in folders]))
        if any(
            video.path.absolute().parent == together or video.path.is_relative_to(folder)
            for video in videos
            for folder in folders
        ):
            continue
        common = set.intersection(*({run.seed for run in theirs} for theirs in there.values()))
        shown = [
            next((run for run in theirs if run.seed == min(common, default=-1)), theirs[0]).folder
            for theirs in there.values()
        ]
        argument = shlex.quote(f"run=[{','.join(map(str, shown))}]")
        lines.append((panel.title.replace("\n", ", "), f"python -m gailfe.watch {argument}"))
    return lines
