"""A terminal of our own, in which commands run as a user sees them."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Sequence

import pyte


class Terminal:
    """What a command shows on a terminal, from its start to its end.

    Args:
        command: and its arguments.
        width, height: in characters.
        environment: variables beside those of this process; TERM is one that can do everything.
    """

    def __init__(self, command: Sequence[str], width: int, height: int, environment: dict[str, str]) -> None:
        self.screen = pyte.HistoryScreen(width, height, history=10_000, ratio=1)
        self.written = b""
        self._stream = pyte.ByteStream(self.screen)
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            refusals = ("NO_COLOR", "CI", "TTY_INTERACTIVE", "TTY_COMPATIBLE")
            ours = {key: value for key, value in os.environ.items() if key not in refusals}
            os.execvpe(command[0], [*command], ours | {"TERM": "xterm-256color"} | environment)

    def follow(self, seen: Callable[[list[str]], None] = lambda lines: None) -> int:
        """Show what the command writes until it ends, each time with the screen's lines for `seen`.

        Returns:
            Its exit code; a signal's number, negative, if one ended it.
        """
        while True:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:  # so Linux says that nobody holds the other side any more
                data = b""
            if not data:
                break
            self.written += data
            self._stream.feed(data)
            seen(self.lines())
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def lines(self) -> list[str]:
        """What is on the screen now."""
        return [line.rstrip() for line in self.screen.display]

    def everything(self) -> list[str]:
        """What is on the screen and what has scrolled off it."""
        history = ["".join(row[x].data for x in range(self.screen.columns)) for row in self.screen.history.top]
        return [line.rstrip() for line in history] + self.lines()

    def type(self, keys: bytes) -> None:
        """What a user types."""
        os.write(self._terminal, keys)
