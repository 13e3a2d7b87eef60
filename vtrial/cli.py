"""vtrial ...: parse, call, print. No science."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column, Table

from vtrial.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Monte Carlo virtual trials: models fitted to one published trial, thousands of the next one.\n\n"
    "Start with [bold]vtrial run karmma[/]; the posterior is fitted once (about a minute and a half) and kept.",
)


class _Console(Console):
    """Goes on where whoever reads the output has stopped (`| head`): the run's files are still written."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# In a pipe or a file, tables are as wide as they need to be.
out = _Console(highlight=False, soft_wrap=True, emoji=False, width=None if sys.stdout.isatty() else 400)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
_NOT_ESTIMABLE = "NE"  # as curve_characteristics has it, which is too heavy for --help

Study = Annotated[str, typer.Argument(help="A study's name, or a folder with facts.csv and priors.toml.")]


@app.command()
def evidence(
    study: Study = "karmma",
    system: Annotated[str | None, typer.Option(help="Only this system: response, crs, baseline, ...")] = None,
    use: Annotated[str | None, typer.Option(help="Only this use: fit, check, context, derived.")] = None,
) -> None:
    """What was published: every fact of a study, as a table."""
    from vtrial import evidence as room

    facts = room.load(study).facts
    for column, wanted in (("system", system), ("use", use)):
        if wanted is not None:
            known = list(dict.fromkeys(facts[column]))
            if wanted not in known:
                raise InputError(f"study '{study}' has no facts with {column} '{wanted}' (known: {', '.join(known)})")
            facts = facts[facts[column] == wanted]
    columns = (Column("fact", overflow="fold"), "published", "low - high", "unit", "population", "use", "source")
    table = Table(*columns, box=None, pad_edge=False)
    for fact, row in facts.iterrows():
        published = f"{row['count']:g} of {row['n']:g}" if row["count"] >= 0 else row["published"]
        limits = f"{_limit(row['low'])} - {_limit(row['high'])}" if row["low"] == row["low"] else ""
        texts = (str(fact), published, limits, row["unit"], row["population"], row["use"], row["source"])
        table.add_row(*(_plain(str(text)) for text in texts))
    out.print(table)
    out.print(f"{len(facts)} facts")


@app.command()
def fit(
    study: Study = "karmma",
    discount: Annotated[float, typer.Option(help="Weight of the evidence, 0 to 1 (power prior).")] = 1.0,
) -> None:
    """Fit all models of a study, print the diagnostics, keep the posterior."""
    from vtrial.evidence import load
    from vtrial.posterior import posterior_of
    from vtrial.report.fitted import correction_in_words, fitted_rates

    read = load(study)
    with _waiting(f"fitting {read.study} (about a minute and a half, once)"):
        posterior = posterior_of(read, discount=discount)
    table = Table(
        "rate", "dose", "published", "", "fitted", "80%", "95%", title=_plain(read.priors.title), title_justify="left"
    )
    for _, row in fitted_rates(read, posterior).iterrows():
        table.add_row(
            row["words"],
            row["dose"],
            f"{row['count']}/{row['n']}",
            f"{row['published']:.1%}",
            f"{row['mean']:.1%}",
            f"{row['q10']:.1%} - {row['q90']:.1%}",
            f"{row['q025']:.1%} - {row['q975']:.1%}",
        )
    out.print(table)
    seen = posterior.tree["diagnostics"].to_dataset()
    out.print(
        f"{posterior.draws:,} draws; R-hat at most {float(seen['rhat'].max()):.4f}; effective sample size at least "
        f"{float(seen['ess_bulk'].min()):,.0f} (bulk), {float(seen['ess_tail'].min()):,.0f} (tail); "
        f"{int(seen['divergences'])} divergent transitions"
    )
    if flags := read.flags.drawn:
        out.print(
            f"Besides: {len(flags)} flags and {len(read.flags.measures)} measures (vtrial replicate {read.study})"
        )
    if moved := correction_in_words(posterior):
        out.print(moved)
    _say_absent(read)


@app.command()
def run(
    scenario: Annotated[str, typer.Argument(help="A shipped scenario's name, or a TOML file.")],
    trials: Annotated[int | None, typer.Option(help="Trials a cell, in place of the scenario's.")] = None,
    seed: Annotated[int | None, typer.Option(help="0 to 2**32 - 1, in place of the scenario's.")] = None,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; if not given, results/<scenario>.")
    ] = None,
) -> None:
    """Simulate a scenario's trials, print the answer, write table, trials and report.

    DIR gets characteristics.csv, trials.parquet, report.html and, last, manifest.json.
    """
    from vtrial import result as room
    from vtrial.report import answer

    began = time.perf_counter()
    asked = room.load_scenario(scenario)
    folder = out_folder or Path("results") / asked.name
    with _left_as_it_was(folder), _remembering_ctrl_c() as check, _progress() as show:

        def step(what: str, done: int, total: int) -> None:
            check()
            show(what, done, total)

        room.writable(folder)
        result = room.run(asked, trials=trials, seed=seed, progress=step)
    design = result.scenario.design
    out.print(f"[bold]{_plain(design.title or asked.name)}[/]")
    if design.question:
        out.print(_plain(design.question), style="italic")
    out.print()
    out.print(_plain(result.answer()))
    out.print()
    out.print(_table(answer.characteristics_in_short(result)))
    out.print(answer.NOT_YET, style="dim")
    if shifted := answer.mix_in_words(result):
        out.print(_plain(shifted))
    _say_absent(result.evidence)
    seconds = time.perf_counter() - began
    with _waiting("writing the report"):
        result.save(folder)
    out.print(f"answered in {seconds:.1f} s; report, table and trials are in {_plain(str(folder))}/", style="dim")


@app.command()
def replicate(
    study: Study = "karmma",
    trials: Annotated[int, typer.Option(help="Replications.")] = 10_000,
    seed: Annotated[int, typer.Option(help="0 to 2**32 - 1.")] = 1,
    left_out: Annotated[
        bool, typer.Option("--left-out", help="Refit without each dose and each adverse event as well (minutes).")
    ] = False,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; if not given, results/<study>-replicated.")
    ] = None,
) -> None:
    """Run a study again as it was run, and set every published number beside what the replications print.

    DIR gets replication.csv, left-out.csv where asked for, replication.html and, last, manifest.json.
    """
    from vtrial import replication as room
    from vtrial.evidence import load
    from vtrial.outputs import writable
    from vtrial.report import replicated

    began = time.perf_counter()
    read = load(study)
    folder = out_folder or Path("results") / f"{read.study}-replicated"
    with _left_as_it_was(folder), _remembering_ctrl_c() as check, _progress() as show:

        def step(what: str, done: int, total: int) -> None:
            check()
            show(what, done, total)

        writable(folder)
        result = room.replicate(read, trials=trials, seed=seed, left_out=left_out, progress=step)
    out.print(f"[bold]{_plain(read.priors.title)}[/], {trials:,} replications")
    out.print()
    out.print(_plain(replicated.sentence(result)))
    out.print()
    out.print(_table(replicated.summary_table(result).rename(columns={"limits95": "of them 95"})))
    out.print()
    out.print("The ten numbers furthest from the middle of their replications:")
    out.print(_table(replicated.numbers_table(result.worst())))
    _say_absent(read)
    absent = result.not_covered()
    absent = absent[absent["use"] != "context"]
    out.print()
    out.print(
        f"Not covered: {_plain(', '.join(f'{f} ({r})' for f, r in zip(absent['fact'], absent['reason'], strict=True)))}"
    )
    seconds = time.perf_counter() - began
    with _waiting("writing the report"):
        result.save(folder)
    out.print(f"replicated in {seconds:.1f} s; table and report are in {_plain(str(folder))}/", style="dim")


@app.command()
def cohort(
    scenario: Annotated[str, typer.Argument(help="A shipped scenario's name, or a TOML file.")],
    trial: Annotated[int, typer.Option(help="Which simulated trial, from 0.")] = 0,
    cell: Annotated[int, typer.Option(help="Which cell of a sweep, from 0.")] = 0,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write; if not given, results/<scenario>-trial-<k>.")
    ] = None,
) -> None:
    """Write one virtual trial as data sets after CDISC ADaM: ADSL, ADRS, ADTTE, ADAE; and ADCH for all else.

    Each as Parquet, CSV and XPT (SAS transport, version 5).
    """
    from vtrial import datasets as room
    from vtrial.outputs import writable
    from vtrial.scenario import load_scenario

    asked = load_scenario(scenario)
    folder = out_folder or Path("results") / f"{asked.name}-trial-{trial}"
    with _left_as_it_was(folder), _waiting(f"simulating trial {trial} of {asked.name}"):
        writable(folder)
        tables = room.datasets(asked, trial=trial, cell=cell)
        room.save(tables, folder)
    for name, table in tables.items():
        subjects = table["USUBJID"].nunique()
        out.print(f"{name:6}{len(table):>7,} rows, {subjects:,} patients, {len(table.columns)} variables")
    if absent := [name for name in room.NAMES if name not in tables]:
        out.print(f"not written: {', '.join(absent)}; the study has no facts on what they hold")
    out.print(f"Parquet, CSV and XPT are in {_plain(str(folder))}/", style="dim")


def main() -> None:
    """The entry point: bad input ends with one line and status 2, a refused fit with 1, Ctrl-C with 130."""
    from vtrial.posterior import FitError

    status = 0
    try:
        status = app(standalone_mode=False)
    except InputError as problem:
        _fail(str(problem), 2)
    except FitError as problem:
        _fail(str(problem), 1)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except typer.Exit as stop:
        sys.exit(stop.exit_code)
    except Exception as problem:  # click's own usage errors, told apart by what they can do
        show = getattr(problem, "show", None)
        if show is None:
            raise
        show()
        sys.exit(2)
    if status == 130:  # with some versions of typer, the only word of Ctrl-C
        _fail("interrupted; nothing half-written was left", 130)
    if status:
        sys.exit(status)


def _fail(message: str, status: int) -> None:
    err.print(f"[bold red]error:[/] {_plain(' '.join(message.splitlines()))}")
    sys.exit(status)


@contextmanager
def _remembering_ctrl_c() -> Iterator[Callable[[], None]]:
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


@contextmanager
def _left_as_it_was(folder: Path) -> Iterator[None]:
    """Where what is inside fails, the folders that it made on the way to `folder` go again, if they are empty."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for path in absent:
                path.rmdir()
        raise


def _say_absent(read: Any) -> None:
    """What the study's facts do not allow to be modelled, or do not inform, if anything."""
    if read.absent:
        out.print(f"Not modelled: {_plain(', '.join(f'{system} ({why})' for system, why in read.absent.items()))}")
    if read.undescribed:
        out.print(f"Not described: {_plain(', '.join(f'{n} ({why})' for n, why in read.undescribed.items()))}")


def _plain(text: str) -> str:
    """Text without markup of its own."""
    from rich.markup import escape

    return escape(text)


def _limit(value: float) -> str:
    return _NOT_ESTIMABLE if math.isinf(value) else f"{value:g}"


def _table(frame: Any) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in frame.columns:
        table.add_column(str(column), justify="left" if column == "metric" else "right")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    return table


def _cell(value: object) -> str:
    if isinstance(value, float):
        if math.isinf(value):
            return _NOT_ESTIMABLE
        return "" if value != value else f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
    return "" if value is None else _plain(str(value))


@contextmanager
def _waiting(what: str) -> Iterator[None]:
    """A spinner in a terminal, one line elsewhere."""
    if err.is_terminal:
        with err.status(what):
            yield
    else:
        err.print(f"{what} ...")
        yield


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
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


if __name__ == "__main__":
    main()
