"""vtrial design ...: designs worked out exactly, without a study and without simulation."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.table import Table

from vtrial._support.errors import InputError
from vtrial._support.validation import plain_number
from vtrial.cli.console import as_data, as_text, err, never, out, plain

if TYPE_CHECKING:
    from vtrial.boundaries.spending import Bounds

MOST_PATIENTS = 10_000  # as of a scenario

app = typer.Typer(
    no_args_is_help=True, help="Designs worked out exactly: bounds, size, power; no study, no simulation."
)

ROUNDING = 1e-9  # by which a size that is alpha may seem above it

Null = Annotated[float, typer.Option(help="Rate under the null hypothesis, 0 to 1.")]
Alternative = Annotated[float, typer.Option(help="Rate at which the power is wanted, 0 to 1.")]
Alpha = Annotated[float, typer.Option(help="One-sided type I error.")]
Power = Annotated[float, typer.Option(help="Power wanted at the alternative.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")]


@app.command()
def simon(
    null: Null,
    alternative: Alternative,
    alpha: Alpha = 0.05,
    power: Power = 0.8,
    max_n: Annotated[int, typer.Option(help="Most patients to consider.", max=2_000)] = 300,
    as_json: AsJson = False,
) -> None:
    """Simon's two-stage designs: optimal, minimax, and the admissible ones between them.

    The drug is not promising at r1 or fewer of n1, nor at r or fewer of n.
    """
    from vtrial.boundaries.simon import simon_designs

    found = simon_designs(null=null, alternative=alternative, alpha=alpha, power=power, max_n=max_n)
    if as_json:
        return _json(asdict(found))
    rows = [("optimal", found.optimal), *(("admissible", d) for d in reversed(found.admissible))]
    _table([{"design": name, **asdict(design)} for name, design in [*rows, ("minimax", found.minimax)]])


@app.command("one-sample")
def one_sample(
    null: Null,
    alternative: Alternative,
    alpha: Alpha = 0.025,
    power: Power = 0.9,
    n: Annotated[int | None, typer.Option(help="A given number of patients, in place of the power.")] = None,
    method: Annotated[str | None, typer.Option(help="exact or normal; both if not given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Size, critical count and exact power of a one-sample test of a rate.

    first: the smallest n that has the power; lasting: the smallest from which every larger n has it too.
    """
    from vtrial.boundaries.one_sample_size import sample_sizes, sized_test
    from vtrial.model.vocabulary import SizedMethod

    methods = get_args(SizedMethod) if method is None else (cast(SizedMethod, method),)
    if n is None:
        found = {
            way: sample_sizes(null=null, alternative=alternative, alpha=alpha, power=power, method=way)
            for way in methods
        }
        rows = [
            {"test": way, "": name, **asdict(test)}
            for way, sizes in found.items()
            for name, test in (("first", sizes.first), ("lasting", sizes.lasting))
        ]
    else:
        found = {way: sized_test(n, null=null, alternative=alternative, alpha=alpha, method=way) for way in methods}
        rows = [{"test": way, **asdict(test)} for way, test in found.items()]
    if as_json:
        return _json({way: asdict(test) for way, test in found.items()})
    _table(rows)
    for way in dict.fromkeys(row["test"] for row in rows if row["size"] > alpha * (1.0 + ROUNDING)):
        sizes = ", ".join(f"{row['size']:.4f} at {row['n']}" for row in rows if row["test"] == way)
        out.print(f"\nThe exact size of the {way} test is above alpha = {alpha:g}: {sizes}.", style="bold")


@app.command()
def predictive(
    null: Null,
    alternative: Alternative,
    n: Annotated[int, typer.Option(help="Patients at the end.", max=2_000)],
    first: Annotated[int, typer.Option(help="Patients at the first look.")],
    futility: Annotated[float, typer.Option(help="Stop where the predictive probability is at most this.")],
    final: Annotated[float, typer.Option(help="Success at the end where P(rate > null) is at least this.")],
    prior: Annotated[str, typer.Option(help="a,b of a beta; of a mixture weight,a,b;weight,a,b;...")] = "1,1",
    step: Annotated[int, typer.Option(help="Patients from look to look.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Futility by predictive probability (Lee & Liu 2008): bounds by number of patients, and what they do."""
    from vtrial.boundaries.predictive import monitoring

    found = monitoring(
        null=null,
        alternative=alternative,
        prior=_prior(prior),
        n=n,
        first=first,
        futility=futility,
        final=final,
        step=step,
    )
    if as_json:
        return _json(asdict(found))
    if rises := _rises(found.looks, found.futility):
        _table([{"n": look, "stop at or below": count} for look, count in rises])
    else:
        out.print("No look can stop the trial.")
    out.print()
    out.print(f"Success at the end: {found.critical} or more of {n}.")
    _table(
        [
            {"rate": rate, "P(success)": shown, "expected n": mean, "P(early stop)": early}
            for rate, shown, mean, early in zip(
                (null, alternative), (found.alpha, found.power), found.expected_n, found.pet, strict=True
            )
        ]
    )


@app.command()
def spending(
    looks: Annotated[str, typer.Option(help="Patients, or information, at each look: 64,128.")],
    alpha: Alpha = 0.025,
    kind: Annotated[str, typer.Option(help="Such as obrien-fleming, pocock-classical.")] = "obrien-fleming",
    gamma: Annotated[float | None, typer.Option(help="Of hwang-shih-decani.")] = None,
    null: Annotated[float | None, typer.Option(help="Rate under the null: the counts are worked out too.")] = None,
    alternative: Annotated[float | None, typer.Option(help="Rate at which power is told and beta spent.")] = None,
    method: Annotated[
        str | None, typer.Option(help="exact (default) or normal: how the counts of --null spend alpha.")
    ] = None,
    beta: Annotated[float | None, typer.Option(help="Type II error to spend on futility.")] = None,
    beta_kind: Annotated[str | None, typer.Option(help="How beta is spent.")] = None,
    beta_gamma: Annotated[float | None, typer.Option(help="Of hwang-shih-decani.")] = None,
    drift: Annotated[
        float | None, typer.Option(help="Mean of z at the end, where beta is spent; no rates then.")
    ] = None,
    binding: Annotated[bool, typer.Option("--binding", help="Efficacy counts on stopping for futility.")] = False,
    as_json: AsJson = False,
) -> None:
    """Group-sequential bounds of z, what they spend, and with --null the counts of a one-sample test."""
    from vtrial.boundaries import spending as room
    from vtrial.boundaries.one_sample_sequential import sequential_design

    at = _numbers("looks", looks)
    if at[0] <= 0 or any(later <= look for look, later in pairwise(at)):
        raise InputError(f"--looks is '{looks}'; numbers above 0 that increase are needed")
    if null is not None and at[-1] > MOST_PATIENTS:
        raise InputError(
            f"--looks is '{looks}'; the counts of --null are worked out for at most {MOST_PATIENTS:,} patients"
        )
    options: dict[str, Any] = {"beta": beta, "beta_kind": beta_kind, "beta_gamma": beta_gamma, "binding": binding}
    if null is None:
        if alternative is not None:
            raise InputError("--alternative is a rate: it goes with --null; without rates, give --drift")
        if method is not None:
            raise InputError("--method is how counts spend alpha: it goes with --null; without rates z is normal")
        bounds = room.spending_bounds(
            [look / at[-1] for look in at], alpha, cast(room.Kind, kind), gamma, drift=drift, **options
        )
        if as_json:
            return _json(asdict(bounds))
        _table(_bounds(at, bounds))
        if bounds.power is not None:
            out.print(f"\nPower at a drift of {drift:g}: {bounds.power:.4f}")
        return
    if drift is not None:
        raise InputError("--drift goes without rates; with --null give --alternative")
    design = sequential_design(
        at,
        null=null,
        alternative=alternative,
        alpha=alpha,
        kind=cast(room.Kind, kind),
        gamma=gamma,
        method=cast(Any, method or "exact"),
        **options,
    )
    above = design.alpha > alpha * (1.0 + ROUNDING)
    size = f"The exact size is {design.alpha:.4f}, above alpha = {alpha:g}: the normal method does not keep it."
    if as_json:
        _json(asdict(design))
        if above:
            err.print(f"warning: {size}")
        return
    counts = zip(_bounds(at, design.bounds), design.at_least, design.at_most, design.alpha_spent, strict=True)
    never = [look + 1 for look in at]
    rows = []
    for (row, high, low, by_then), most in zip(counts, never, strict=True):
        row = {"alpha to spend" if name == "alpha spent" else name: value for name, value in row.items()}
        row |= {"reject at": None if high == most else int(high), "stop at": None if low < 0 else int(low)}
        rows.append(row | {"exact size by then": f"{by_then:.6f}"})
    _table(rows)
    out.print()
    _table(
        [
            {"rate": rate, "P(reject)": shown, "expected n": mean}
            for rate, shown, mean in zip(
                (null, alternative), (design.alpha, design.power), design.expected_n, strict=True
            )
            if rate is not None
        ]
    )
    if beta is not None and not binding:
        out.print("P(reject) at the null is that of a trial that never stops for futility.")
    if above:
        out.print(f"\n{size}", style="bold")


def _bounds(at: Sequence[float], bounds: "Bounds") -> list[dict[str, Any]]:
    """A row for each look: z bounds and what has been spent."""
    rows = []
    for k, look in enumerate(at):
        row = {"look": look, "information": float(bounds.information[k]), "efficacy z": float(bounds.efficacy[k])}
        if bounds.beta_spent is not None:
            row |= {"futility z": float(bounds.futility[k])}
        row |= {"alpha spent": f"{bounds.alpha_spent[k]:.6f}"}
        if bounds.beta_spent is not None:
            row |= {"beta spent": f"{bounds.beta_spent[k]:.6f}"}
        rows.append(row)
    return rows


def _rises(looks: Any, counts: Any) -> list[tuple[int, int]]:
    """The looks at which a bound is higher than at the one before; from -1, never."""
    pairs = list(zip(looks.tolist(), counts.tolist(), strict=True))
    before = [-1, *(count for _, count in pairs)]
    return [pair for pair, last in zip(pairs, before, strict=False) if pair[1] > last]


def _numbers(name: str, text: str) -> list[float]:
    """Numbers between commas; whole ones as such."""
    try:
        numbers = [plain_number(part.strip()) for part in text.split(",")]
        if not all(map(math.isfinite, numbers)):
            raise ValueError
    except ValueError:
        raise InputError(f"--{name} is '{text}'; numbers with commas between them are needed") from None
    return [int(number) if number.is_integer() else number for number in numbers]


def _prior(text: str) -> tuple[float, float] | list[tuple[float, float, float]]:
    parts = [tuple(_numbers("prior", part)) for part in text.split(";")]
    return cast(Any, parts if len(parts) > 1 or len(parts[0]) != 2 else parts[0])


def _table(rows: Sequence[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False)
    for k, name in enumerate(rows[0]):
        table.add_column(plain(name), justify="left" if isinstance(rows[0][name], str) and k < 2 else "right")
    for row in rows:
        table.add_row(*("-" if never(value) else as_text(value) for value in row.values()))
    out.print(table)


def _json(value: Any) -> None:
    typer.echo(json.dumps(as_data(value)))
