"""Frames side by side, with captions, into an H.264 file."""

from __future__ import annotations

import contextlib
import importlib
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from expert.rendering import CannotRender
from gailfe.config.extras import install
from gailfe.storage.files import atomic

GAP = 8  # pixels between two pictures
CAPTION = 56  # pixels above a picture, for two lines


def encoder() -> ModuleType:
    """imageio_ffmpeg. Raises CannotRender where it isn't installed."""
    try:
        return importlib.import_module("imageio_ffmpeg")
    except ImportError as error:
        raise CannotRender(f"videos need the extra `video`: {install('video')} ({error})") from error


def captioned(frames: Iterable[np.ndarray], title: str, detail: str) -> Iterator[np.ndarray]:
    """Yield each frame with two lines above it.

    Args:
        frames: (height, width, 3) uint8, all of one size.

    Yields:
        (CAPTION + height, width, 3) uint8.
    """
    strip: np.ndarray | None = None
    for frame in frames:
        if strip is None:
            strip = _text(frame.shape[1], title, detail)
        yield np.concatenate([strip, frame])


def side_by_side(*sources: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Frames next to one another until the longest source ends; a shorter one holds its last frame.

    Args:
        sources: of frames (height, width, 3) uint8; all of one height, none empty.

    Yields:
        (height, total width, 3) uint8, both rounded up to even numbers, as H.264 wants them.
    """
    iterators = [iter(source) for source in sources]
    held = [next(iterator) for iterator in iterators]
    while True:
        height = held[0].shape[0]
        gap = np.zeros((height, GAP, 3), dtype=np.uint8)
        parts = [part for frame in held for part in (gap, frame)][1:]
        picture = np.concatenate(parts, axis=1)
        yield np.pad(picture, ((0, height % 2), (0, picture.shape[1] % 2), (0, 0)))
        following = [next(iterator, None) for iterator in iterators]
        if all(frame is None for frame in following):
            return
        held = [old if new is None else new for old, new in zip(held, following, strict=True)]


def write_video(path: Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Encode `frames` to `path`, which appears when it is complete.

    Args:
        frames: (height, width, 3) uint8, even and all of one size; at least one.

    Raises:
        CannotRender: if the encoder is not installed.
    """
    ffmpeg = encoder()
    iterator = iter(frames)
    first = next(iterator)
    size = (first.shape[1], first.shape[0])
    with atomic(path) as partial:
        writer = ffmpeg.write_frames(
            str(partial), size, fps=fps, codec="libx264", quality=7, macro_block_size=2, ffmpeg_log_level="error"
        )
        writer.send(None)
        with contextlib.closing(writer):
            for frame in itertools.chain([first], iterator):
                writer.send(np.ascontiguousarray(frame))


def _text(width: int, *lines: str) -> np.ndarray:
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", (width, CAPTION), "black")
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        size = 20 if row == 0 else 16
        draw.text((10, 6 + 26 * row), line, fill="white", font=ImageFont.load_default(size))
    return np.asarray(image)
