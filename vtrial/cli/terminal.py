"""Standard output and standard error that may be closed, full, or know ASCII alone: no answer is lost with them."""

import codecs
import errno
import logging
import os
import sys
import unicodedata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SPELLED = {
    "±": "+/-",
    "≥": ">=",
    "≤": "<=",
    "–": "-",
    "—": "-",
    "…": "...",
    "×": "x",
    "•": "*",
    "“": "'",
    "”": "'",
    "‘": "'",
    "’": "'",
}


def spelled_out(problem: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs: what an encoding lacks, in ASCII: "±" as "+/-", "é" as "e", others as "?"."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    text = problem.object[problem.start : problem.end]
    return "".join(_SPELLED.get(one) or _plain(one) for one in text), problem.end


def _plain(character: str) -> str:
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


codecs.register_error("vtrial.spelled_out", spelled_out)


class Stream:
    """A standard stream. The first write that fails is remembered (`failure`), not raised; later ones go nowhere."""

    def __init__(self, stream: Any) -> None:
        self.failure: OSError | None = None
        if stream is None:  # closed before we began; a file opened later must not get its number
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
            self.failure = OSError(errno.EBADF, "it is closed")
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text, as far as the stream's characters go."""
        encoding = self.stream.encoding or "utf-8"
        if self.failure is None:
            try:
                self.stream.write(text.encode(encoding, "vtrial.spelled_out").decode(encoding))
            except (OSError, ValueError) as problem:
                self._fail(problem)
        return len(text)

    def flush(self) -> None:
        """Let what was written go out."""
        if self.failure is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as problem:
                self._fail(problem)

    def _fail(self, problem: OSError | ValueError) -> None:
        self.failure = problem if isinstance(problem, OSError) else OSError(errno.EBADF, str(problem))
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())  # what waits in a buffer fails no more
        except (OSError, ValueError):
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def standard_streams() -> Iterator[Stream]:
    """Standard output and error as `Stream`; the former is yielded. Warnings of libraries go nowhere."""
    before = sys.stdout, sys.stderr, warnings.showwarning
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # XLA's alarm of a slow compilation
    logging.getLogger().addHandler(logging.NullHandler())  # else Python prints what nobody handles
    out, err = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = out, err
    if not (sys.warnoptions or os.environ.get("PYTHONWARNINGS")):
        warnings.showwarning = lambda *_, **__: None
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr, warnings.showwarning = before
