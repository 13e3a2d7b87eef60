"""What the command line prints with, and how it waits, counts and is interrupted."""

import json
import math
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vtrial.model.vocabulary import NOT_ESTIMABLE, NOT_REACHED, in_figures

# In a pipe or a file, tables are as wide as they need to be.
out = Console(
    highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout is not None and sys.stdout.isatty() else 400
)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


@contextmanager
def remembering_ctrl_c() -> Iterator[Callable[[], None]]:
    """Ctrl-C as usual, and remembered: what is yielded raises it again.

    Python drops a KeyboardInterrupt that falls into a callback of the garbage collector (JAX has one), and a long
    run would go on as if nobody had asked.
    """
    asked = False

    def remember(*_: object) -> None:
        nonlocal asked
        asked = True
        raise KeyboardInterrupt

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)


# What a missing number is in a column: an estimate is not estimable; elsewhere there is simply none.
_MISSING = {"estimate": NOT_ESTIMABLE, "difference": NOT_ESTIMABLE}


def plain(text: str) -> str:
    """Text without markup of its own."""
    from rich.markup import escape

    return escape(text)


def limit(value: float) -> str:
    return in_figures(value, "g")


def as_table(frame: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in frame.columns:
        table.add_column(str(column), justify="left" if column == "metric" else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(as_text(value, _MISSING.get(str(c), "")) for c, value in zip(frame.columns, row, strict=True)))
    return table


def as_text(value: object, missing: str = "") -> str:
    if isinstance(value, float):
        if math.isinf(value):
            return NOT_REACHED
        return missing if value != value else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
    return "" if value is None else plain(str(value))


def never(value: object) -> bool:
    """Whether there is no such number: none, or an infinite one."""
    return value is None or (isinstance(value, float) and math.isinf(value))


def as_data(value: Any) -> Any:
    """Lists and numbers that JSON has; what is infinite (never) is null."""
    if isinstance(value, dict):
        return {name: as_data(part) for name, part in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [as_data(part) for part in value]
    return None if never(value) else value


_kept: list[Path] = []


def warn(texts: Iterable[str]) -> None:
    """What should be known beside an answer, a line each on standard error."""
    for text in texts:
        err.print(f"[bold yellow]warning:[/] {plain(text)}.")


def kept(what: str, folder: Path) -> None:
    """Print where results lie, and remember it, should the print be lost."""
    _kept.append(folder)
    out.print(f"{plain(what)} {plain(str(folder))}/", style="dim")


def forget_kept() -> None:
    """Nothing was kept yet."""
    _kept.clear()


def last_kept() -> Path | None:
    """The folder of the last `kept`."""
    return _kept[-1] if _kept else None


def print_json(value: Any) -> None:
    """One JSON object, in ASCII where the terminal knows nothing else."""
    out.print_json(json.dumps(as_data(value)), ensure_ascii=not out.encoding.startswith("utf"))


@contextmanager
def working(folder: Path, names: Iterable[str]) -> Iterator[Callable[[str, int, int], None]]:
    """As `thinking`, for work whose files of these names `folder` can take, which stays as it was."""
    from vtrial._support.folders import check_writable  # too heavy for --help

    check_writable(folder, names)
    with thinking() as step:
        yield step


@contextmanager
def thinking() -> Iterator[Callable[[str, int, int], None]]:
    """Long work: what is yielded shows progress, and raises Ctrl-C where it was lost."""
    with remembering_ctrl_c() as check, progress() as show:

        def step(what: str, done: int, total: int) -> None:
            check()
            show(what, done, total)

        yield step


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner in a terminal, one line elsewhere."""
    if err.is_terminal:
        with err.status(what, spinner="dots" if err.encoding.startswith("utf") else "line"):
            yield
    else:
        err.print(f"{what} ...")
        yield


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar in a terminal; elsewhere a line when something starts, and one for each tenth."""
    if not err.is_terminal:
        said: dict[str, int] = {}

        def say(what: str, done: int, total: int) -> None:
            tenth = 10 * done // max(total, 1)
            if said.get(what, -1) < tenth and (what not in said or total > 100_000):
                err.print(f"{what} ..." if tenth == 0 or what not in said else f"{what}: {10 * tenth}%")
                said[what] = tenth

        yield say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for other in tasks.values():
                    bar.update(other, visible=False)
                tasks[what] = bar.add_task(what, total=total if what == "simulating" else None)
            bar.update(tasks[what], completed=done)

        yield show
