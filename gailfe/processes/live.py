"""On a terminal, one live table of a sweep's jobs; what they print appears above it. Elsewhere there are lines.

The sweep's process hands its output, and so that of its workers, to a thread of its own through a pipe. That alone
writes to the terminal. The cursor stays visible, and nothing else of the terminal is changed, so that a process
that is killed leaves nothing behind. A single run has no table: its lines come seldom, and tell how it went.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import select
import sys
import threading
import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gailfe.processes.jobs import Jobs
from gailfe.processes.table import picture

INTERVAL = 1.0  # seconds between two pictures, at least
SHARE = 0.01  # of a core that drawing may take from the jobs, at most

_screen: list[Screen] = []  # of this process, while it draws


def wanted() -> bool:
    """Return whether the standard output is a terminal for a table, and no variable of the environment forbids it.

    TERM=dumb, NO_COLOR, CI and rich's TTY_INTERACTIVE=0 do.
    """
    refused = any(os.environ.get(name) for name in ("NO_COLOR", "CI"))
    if refused or os.name != "posix" or not sys.stdout.isatty() or not os.isatty(1):
        return False
    console = Console()
    return console.is_interactive and console.encoding.startswith("utf") and _in_foreground(1)


def begin(jobs: Jobs) -> None:
    """Draw the table of `jobs` from now on."""
    _screen[:] = [Screen(jobs)]
    atexit.register(end)  # where a sweep ends with an error


def end() -> None:
    """Draw the table a last time, if there is one, and give the terminal back."""
    while _screen:
        _screen.pop().close()


class Screen:
    """The terminal, for as long as there is a table on it."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._terminal = os.dup(1)
        self._console = _Console(file=os.fdopen(os.dup(1), "w", encoding="utf-8"))
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._held = b""  # read, and not yet on the terminal
        self._over = secrets.token_hex(16).encode()  # comes through the pipe behind all that is printed
        self._is_over = False
        self._taken = {number: os.dup(number) for number in (1, 2) if os.isatty(number)}
        self._read, self._write = os.pipe()
        _flush()
        for number in self._taken:
            os.dup2(self._write, number)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the terminal back, once all that was printed is on it."""
        _flush()
        for number, own in self._taken.items():
            os.dup2(own, number)
            os.close(own)
        os.write(self._write, self._over)
        self._thread.join()
        with contextlib.suppress(OSError):
            self._console.file.close()
        for number in (self._read, self._write, self._terminal):
            os.close(number)

    def _run(self) -> None:
        try:
            self._draw()
        except Exception as error:  # as when the terminal is gone; who prints must never wait for this thread
            self._copy(f"\nthe live table ended: {type(error).__name__}: {error}\n".encode())
            while not self._is_over:
                self._pass_on(None, self._copy)

    def _draw(self) -> None:
        due = 0.0
        while not self._is_over:
            self._pass_on(max(0.0, due - time.monotonic()), self._print)
            if (self._is_over or time.monotonic() >= due) and _in_foreground(self._terminal):
                began = time.thread_time()
                self._jobs.look()
                self._console.size = width, height = _size(self._terminal)
                self._live.start()
                # The cursor stays on a last, empty line: there the shell goes on if this process is killed.
                below = [] if self._is_over else [""]
                self._live.update(Group(picture(self._jobs, width, height), *below), refresh=True)
                due = time.monotonic() + max(INTERVAL, (time.thread_time() - began) / SHARE)
        self._live.stop()

    def _pass_on(self, seconds: float | None, say: Callable[[bytes], None]) -> None:
        """Wait at most `seconds` for what is printed and `say` the whole lines of it; in the end, the rest too."""
        if select.select([self._read], [], [], seconds)[0]:
            self._held += os.read(self._read, 1 << 16)
        before, over, _ = self._held.partition(self._over)
        self._is_over = bool(over)
        length = len(before) if over else before.rfind(b"\n") + 1
        if length:
            say(before[:length])
            self._held = self._held[length:]

    def _print(self, lines: bytes) -> None:
        if not _in_foreground(self._terminal):  # the terminal is the shell's now: nothing is drawn again there
            self._copy(lines)
            return
        text = lines.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
        self._console.print(Text(text.removesuffix("\n")), soft_wrap=True)

    def _copy(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._terminal, data)


class _Console(Console):
    def show_cursor(self, show: bool = True) -> bool:
        """Leaves it visible: who hides it can be killed before it is shown again."""
        return True


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):
            stream.flush()


def _in_foreground(terminal: int) -> bool:
    """Return whether this process may draw on it: not after Ctrl-Z and `bg`, or with `&`."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return True


def _size(terminal: int) -> tuple[int, int]:
    with contextlib.suppress(OSError):
        width, height = os.get_terminal_size(terminal)
        if width > 0 and height > 0:
            return width, height
    return 80, 24
