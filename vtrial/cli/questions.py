"""vtrial decide, vtrial solve: design questions at the command line. Parse, call, print; no science."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from vtrial.cli.console import as_table, out, plain, print_json, thinking, warn

Scenario = Annotated[str, typer.Argument(help="A shipped scenario's name, or a TOML file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Cell = Annotated[int, typer.Option(help="Which cell of a sweep, from 0.")]


def decide(
    scenario: Scenario,
    data: Annotated[Path, typer.Option(help="A TOML file of the trial's actual numbers, [[look]] by [[look]].")],
    cell: Cell = 0,
    as_json: Json = False,
) -> None:
    """What a scenario's looks and tests say of a trial's actual numbers; nothing is fitted or simulated.

    The file has a [[look]] for each look held so far, and one named "end" for the final analysis:
    name = "interim", infused = 64, counts = { "orr@3" = 40 }; of a look whose patients need follow-up infused, or
    evaluable, is how many have it. At other numbers than planned the bounds are worked out for the actual ones, which
    assumes timing_independent_of_results = true, or the data are refused.
    """
    from vtrial.workflows.monitor.decide import decide as by_rules

    verdict = by_rules(scenario, data, cell=cell)
    if as_json:
        rows = verdict.table.astype(object).where(verdict.table.notna(), None)
        found: dict[str, Any] = {
            "sentence": verdict.sentence,
            "outcome": verdict.outcome,
            "rejected": verdict.rejected,
            "note": verdict.note,
            "warnings": list(verdict.warnings),
            "rules": rows.to_dict("records"),
        }
        print_json(found)
        return
    if verdict.note:
        out.print(plain(verdict.note), style="italic")
    table = verdict.table[["look", "rule", "endpoint", "seen", "fires", "then"]].copy()
    table["fires"] = ["yes" if fires else "no" for fires in table["fires"]]
    table.insert(4, "value", [_shown(row) for _, row in verdict.table.iterrows()])
    out.print(as_table(table))
    out.print()
    out.print(plain(verdict.sentence))
    warn(verdict.warnings)


def solve(
    scenario: Scenario,
    key: Annotated[str | None, typer.Option(help="What to find, as a sweep addresses it: cohort.infused, ...")] = None,
    first: Annotated[float | None, typer.Option("--from", help="The smallest value tried.")] = None,
    last: Annotated[float | None, typer.Option("--to", help="The largest value tried.")] = None,
    by: Annotated[float | None, typer.Option(help="The step between values (default 1).")] = None,
    metric: Annotated[str | None, typer.Option(help="What must reach the target: orr.reject, ...")] = None,
    at_least: Annotated[float | None, typer.Option(help="The target, from below.")] = None,
    at_most: Annotated[float | None, typer.Option(help="The target, from above.")] = None,
    cell: Cell = 0,
    as_json: Json = False,
) -> None:
    """The smallest number of patients (or bound, null, follow-up) with which a design reaches a target.

    The scenario's [solve] section says the same as the options, and may add a limit, such as a type I error.
    """
    from vtrial.workflows.solve import solve as search

    asked: dict[str, Any] = {"key": key, "metric": metric, "at_least": at_least, "at_most": at_most}
    asked |= {name: _whole(value) for name, value in (("from_", first), ("to", last), ("by", by))}
    with thinking() as step:
        found = search(scenario, cell=cell, progress=step, **asked)
    table = found.table
    if as_json:
        rows = table.astype(object).where(table.notna(), None).to_dict("records")
        names = ("value", "lasting", "low", "high", "sentence", "warnings")
        print_json({name: getattr(found, name) for name in names} | {"table": rows})
        return
    out.print(plain(found.sentence))
    out.print()
    reached = [k for k, value in enumerate(table["value"]) if repr(value) in (repr(found.value), repr(found.lasting))]
    shown = sorted({j for k in reached or [len(table) - 1] for j in range(k - 3, k + 3) if 0 <= j < len(table)})
    columns = [c for c in table.columns if c not in ("may", "surely", "limit_method")]
    near = table.loc[shown, columns].copy()
    near["reached"] = ["yes" if good else "no" for good in near["reached"]]
    out.print(as_table(near))
    if len(near) < len(table):
        out.print(f"{len(near)} of {len(table)} values; all of them with --json", style="dim")
    warn(found.warnings)


def _whole(value: float | None) -> float | int | None:
    return int(value) if value is not None and value == int(value) else value


def _shown(row: Any) -> str:
    value, limit = row["value"], row["limit"]
    if value is None or math.isnan(value) or (row["count"] is not None and value == row["count"]):
        return ""
    return f"{value:.4f}" + ("" if math.isnan(limit) else f" ({limit:g})")
