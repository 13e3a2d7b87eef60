"""vtrial ...: parse, call, print. No science."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from vtrial._support.errors import InputError
from vtrial.cli import calculators, questions
from vtrial.cli.console import as_table, kept, limit, out, plain, thinking, waiting, warn, working
from vtrial.cli.entry import call

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Monte Carlo virtual trials: models fitted to one published trial, thousands of the next one.\n\n"
    "Start with vtrial run karmma; the posterior is fitted once (about a minute and a half) and kept.",
)
app.add_typer(calculators.app, name="design")
app.command()(questions.decide)
app.command()(questions.solve)


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
        limits = f"{limit(row['low'])} - {limit(row['high'])}" if row["low"] == row["low"] else ""
        texts = (str(fact), published, limits, row["unit"], row["population"], row["use"], row["source"])
        table.add_row(*(plain(str(text)) for text in texts))
    out.print(table)
    out.print(f"{len(facts)} facts")


@app.command()
def fit(
    study: Study = "karmma",
    discount: Annotated[float, typer.Option(help="Weight of the evidence, 0 to 1 (power prior).")] = 1.0,
) -> None:
    """Fit all models of a study, print the diagnostics, keep the posterior."""
    from vtrial.evidence import load
    from vtrial.fitting.cache import posterior_of
    from vtrial.report.tables.fitted import correction_in_words, fitted_rates, made_in_words

    read = load(study)
    with thinking() as step:
        posterior = posterior_of(read, discount=discount, progress_of_fit=step)
    read = read.without_unfitted(posterior.unfitted)
    table = Table(
        "rate", "dose", "published", "", "fitted", "80%", "95%", title=plain(read.priors.title), title_justify="left"
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
    out.print(plain(made_in_words(posterior)))
    _say_used(read)
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

    The folder gets characteristics.csv, trials.parquet, scenario.toml (as run), report.html and manifest.json.
    """
    from vtrial.scenario import load_scenario

    began = time.perf_counter()
    asked = load_scenario(scenario)  # before JAX and the report, which take seconds to come: a typo is answered at once
    from vtrial.report.headline import answer
    from vtrial.report.tables import comparisons
    from vtrial.workflows.result import FILES
    from vtrial.workflows.run import run as simulate

    folder = out_folder or Path("results") / asked.name
    with working(folder, FILES) as step:
        result = simulate(asked, trials=trials, seed=seed, progress=step)
    design = result.scenario.design
    out.print(f"[bold]{plain(design.title or asked.name)}[/]")
    if design.question:
        out.print(plain(design.question), style="italic")
    out.print()
    out.print(plain(result.answer()))
    if compared := comparisons.sentence(result):
        out.print(plain(compared))
    out.print()
    out.print(as_table(answer.characteristics_in_short(result)))
    out.print(answer.not_yet(result), style="dim")
    if shifted := answer.mix_in_words(result):
        out.print(plain(shifted))
    _say_absent(result.evidence)
    warn(result.warnings)
    seconds = time.perf_counter() - began
    with waiting("writing the report"):
        result.save(folder)
    all_of_it = time.perf_counter() - began
    kept(
        f"answered in {seconds:.1f} s, report written after {all_of_it:.1f} s; report, table and trials are in", folder
    )


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

    The folder gets replication.csv, left-out.csv where asked for, replication.html and manifest.json.
    """
    from vtrial.evidence import load
    from vtrial.report import replicated
    from vtrial.workflows.replication import replicate as room

    began = time.perf_counter()
    read = load(study)
    folder = out_folder or Path("results") / f"{read.study}-replicated"
    with working(folder, room.FILES) as step:
        result = room.replicate(read, trials=trials, seed=seed, left_out=left_out, progress=step)
    out.print(f"[bold]{plain(read.priors.title)}[/], {trials:,} replications")
    out.print()
    out.print(plain(replicated.sentence(result)))
    out.print()
    out.print(as_table(replicated.summary_table(result).rename(columns={"limits95": "of them 95"})))
    out.print()
    out.print("The ten numbers furthest from the middle of their replications:")
    out.print(as_table(replicated.numbers_table(result.worst())))
    out.print()
    _say_used(result.evidence)
    _say_absent(result.evidence)
    absent = result.not_covered()
    absent = absent[absent["use"] != "context"]
    out.print()
    out.print(
        f"Not covered: {plain(', '.join(f'{f} ({r})' for f, r in zip(absent['fact'], absent['reason'], strict=True)))}"
    )
    seconds = time.perf_counter() - began
    with waiting("writing the report"):
        result.save(folder)
    all_of_it = time.perf_counter() - began
    kept(f"replicated in {seconds:.1f} s, report written after {all_of_it:.1f} s; table and report are in", folder)


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

    Each as Parquet, CSV and XPT (SAS transport, version 5); scenario.toml and manifest.json say where from.
    """
    from vtrial.scenario import load_scenario

    asked = load_scenario(scenario)
    from vtrial.workflows.datasets import datasets as room

    folder = out_folder or Path("results") / f"{asked.name}-trial-{trial}"
    with working(folder, room.file_names()), waiting(f"simulating trial {trial} of {asked.name}"):
        tables = room.datasets(asked, trial=trial, cell=cell)
    room.save(tables, folder, scenario=asked, trial=trial, cell=cell)
    for name, table in tables.items():
        subjects = table["USUBJID"].nunique()
        out.print(f"{name:6}{len(table):>7,} rows, {subjects:,} patients, {len(table.columns)} variables")
    if absent := [name for name in room.NAMES if name not in tables]:
        study = asked.cells[cell].design.world.study
        out.print(
            f"not written: {', '.join(absent)}; what they hold is not modelled ('vtrial fit {plain(study)}' says why)"
        )
    kept("Parquet, CSV and XPT are in", folder)


@app.command()
def story(
    scenario: Annotated[str, typer.Argument(help="A shipped scenario's name, or a TOML file, with looks.")],
    trial: Annotated[int, typer.Option(help="Which simulated trial, from 0.")] = 0,
    cell: Annotated[int, typer.Option(help="Which cell of a sweep, from 0.")] = 0,
    seed: Annotated[int | None, typer.Option(help="0 to 2**32 - 1, in place of the scenario's.")] = None,
) -> None:
    """Tell one virtual trial: what each look saw, each rule against its bound, what fired and what followed."""
    from vtrial.scenario import load_scenario

    asked = load_scenario(scenario)
    from vtrial.report.tables.after_stopping import story_texts
    from vtrial.workflows import trial_log as room

    with waiting(f"simulating trial {trial} of {asked.name}"):
        table = room.told(asked, trial=trial, cell=cell, seed=seed)
    out.print(plain(f"{room.in_words(table, trial)}."))
    out.print()
    out.print(as_table(story_texts(table)))


def main() -> None:
    """The entry point; see `vtrial.cli.entry`."""
    call(app)


def _say_used(read: Any) -> None:
    """What the fit read of the facts, and what it did not."""
    from vtrial.report.tables.fitted import use_in_words

    for heading, facts in use_in_words(read):
        out.print(plain(f"{heading}: {facts}"))


def _say_absent(read: Any) -> None:
    """What the study's facts do not allow to be modelled, or do not inform, if anything."""
    if read.absent:
        out.print(f"Not modelled: {plain(', '.join(f'{system} ({why})' for system, why in read.absent.items()))}")
    if read.undescribed:
        out.print(f"Not described: {plain(', '.join(f'{n} ({why})' for n, why in read.undescribed.items()))}")
