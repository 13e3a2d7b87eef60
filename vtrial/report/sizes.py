"""The exact size of each test of a rate at its null; with looks, that of its final analysis and that over its looks."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.stats import binom

from vtrial.conduct.windows import watched
from vtrial.decisions import CLOSES
from vtrial.design.one_sample import size_and_power
from vtrial.look_characteristics import END
from vtrial.protocol import Protocol
from vtrial.report.tables import MOST_ROWS, drawn
from vtrial.report.words import number, percent
from vtrial.rule_bounds import patients_at
from vtrial.scenario import TestSection

if TYPE_CHECKING:
    from vtrial.result import Result


def sizes(result: "Result") -> pd.DataFrame:
    """Exact size of each test at its null, a row for each test and number of patients that differ between cells.

    Columns: test, endpoint, null, method, alpha (NaN for "posterior" and "count"), population, n (the most frequent
    number of patients), critical, size (at n), n_low, n_high (that occurred), low, high (least and greatest size
    there), mean (size over trials), looks (size over its looks and the end, where it can reject at looks; else NaN).
    The size is that of the test alone, every patient having the endpoint with the null's rate, at every dose alike (in
    a world, `each_dose = true`): where doses differ and their mix has that rate, a size is smaller, or at looks with
    doses in order another. Where there are looks,
    numbers are those of trials that reached the end; under a graph there is a row for the alpha that the test begins
    with, and for the most that it can have.
    """
    rows: dict[tuple[object, ...], dict[str, object]] = {}
    for cell, protocol in enumerate(result.protocols):
        trials: Any = result.trials[result.trials["cell"] == cell]
        if protocol.plan.looks:
            trials = trials[trials["end"] == END]
        for test in (test for test in protocol.tests if not test.timed and not trials.empty):
            occurred = trials[f"n.{test.population}"].value_counts(normalize=True).sort_index()
            n, weight = occurred.index.to_numpy(int), occurred.to_numpy()
            most = int(np.argmax(weight))
            for table, alpha in levels_of(protocol, test):
                critical = table[n]
                at_null = np.asarray(size_and_power(critical, n, test.null, test.alternative))
                key = (test.name, test.null, test.method, alpha, test.alternative, test.population, int(n[most]))
                row = {
                    "test": test.name, "endpoint": test.endpoint, "null": test.null, "method": test.method,
                    "alpha": alpha, "alternative": test.alternative, "population": test.population, "n": int(n[most]),
                    "critical": int(critical[most]), "size": float(at_null[most]), "n_low": int(n.min()),
                    "n_high": int(n.max()), "low": float(at_null.min()), "high": float(at_null.max()),
                    "mean": float(at_null @ weight), "looks": _over_looks(protocol, test),
                }  # fmt: skip
                rows.setdefault(key, row)
    return pd.DataFrame(list(rows.values()))


def levels_of(protocol: Protocol, test: TestSection) -> Iterator[tuple[Any, float]]:
    """A test's critical counts at the end by n, and the alpha that they are of."""
    table = protocol.numbers.bounds[test.name]
    if test.method in ("posterior", "count"):
        yield (table if table.ndim == 1 else table[0]), math.nan
    elif table.ndim == 1:
        yield table, protocol.levels.alpha(test.name, 0)
    else:
        most = table.shape[0] - 1 - 2 ** [one.name for one in protocol.plan.tests].index(test.name)
        for rejected in dict.fromkeys((0, most)):
            if alpha := protocol.levels.alpha(test.name, rejected):
                yield table[rejected], alpha


def _over_looks(protocol: Protocol, test: TestSection) -> float:
    """P(the test rejects at a look or at the end) at its null, were no look to stop for anything else; NaN where it
    cannot reject at looks, or these count something else than the end, or numbers that vary.

    A look that ends enrolment is followed by the final test of its patients.
    """
    plan, numbers, looks = protocol.plan, protocol.numbers.looks, protocol.looks
    closing = [r for r, rule in enumerate(plan.rules) if rule.then == CLOSES]
    mine = [r for r, rule in enumerate(plan.rules) if rule.test == test.name] + closing
    planned = protocol.levels.planned
    if not mine or plan.graph or looks is None or numbers is None or planned is None or test.population != "infused":
        return math.nan
    at = {r: patients_at(looks.sections[plan.rules[r].look], planned) for r in mine}
    alike = all(plan.rules[r].time is None for r in mine)
    alike = alike and all(plan.watched[plan.rules[r].watched] == watched(test.endpoint) for r in mine)
    if None in at.values() or not alike or max(n or 0 for n in at.values()) > planned:
        return math.nan
    if closing and plan.in_calendar:
        return math.nan
    final = protocol.numbers.bounds[test.name]

    def rejects(x: Any, n: int) -> Any:
        return x >= final[n] if test.alternative == "greater" else x <= final[n]

    going, before, total = np.ones(1), 0, 0.0
    for n in sorted({n for n in at.values() if n is not None} | {planned}):
        going = np.convolve(going, binom.pmf(np.arange(n - before + 1), n - before, test.null))
        before, x = n, np.arange(n + 1)
        if n == planned:
            total += float(going[rejects(x, n)].sum())
            break
        fired = {
            r: (x >= numbers.bounds[r, n] if plan.rules[r].at_least else x <= numbers.bounds[r, n])
            for r in mine
            if at[r] == n
        }
        claimed, closed = np.zeros(n + 1, bool), np.zeros(n + 1, bool)
        for r, here in fired.items():
            claimed, closed = (claimed, closed | here) if r in closing else (claimed | here, closed)
        total += float(going[claimed | (closed & rejects(x, n))].sum())
        going = np.where(claimed | closed, 0.0, going)
    return total


def over_looks_in_words(result: "Result") -> list[str]:
    """A sentence for each test whose exact size over its looks is above its alpha, or, where it has none, above that of
    its final analysis alone."""
    said: dict[str, None] = {}
    for protocol in result.protocols:
        for test in (test for test in protocol.tests if not test.timed and not protocol.plan.graph):
            size, planned = _over_looks(protocol, test), protocol.levels.planned
            if math.isnan(size) or planned is None:
                continue
            alpha = math.nan if test.method in ("posterior", "count") else protocol.levels.alpha(test.name, 0)
            bound = np.array([protocol.numbers.bounds[test.name][planned]])
            alone = float(size_and_power(bound, np.array([planned]), test.null, test.alternative)[0])
            if size > (alone if math.isnan(alpha) else alpha) + 1e-9:
                level = "" if math.isnan(alpha) else f"; its alpha is {alpha:g}"
                said[
                    f"Over its looks the test '{test.name}' of the null {percent(test.null)} has an exact size of "
                    f"{size:.4f}, its final analysis alone {alone:.4f}{level}."
                ] = None
    return list(said)


def sizes_table(table: Any, name: str) -> Markup:
    """`sizes` for readers."""
    rows = []
    for _, row in table.head(MOST_ROWS).iterrows():
        n, critical = row["n"], row["critical"]
        sign, possible = ("≥", critical <= n) if row["alternative"] == "greater" else ("≤", critical >= 0)
        at_looks = not math.isnan(row["looks"])
        above = row["size"] > row["alpha"]
        rows.append(
            {
                "test": row["test"],
                "null": percent(row["null"]),
                "method": row["method"],
                "alpha": "–" if math.isnan(row["alpha"]) else f"{row['alpha']:g}",
                "n": f"{n} {row['population']}",
                "rejects": f"{sign} {critical} ({critical / n:.1%})" if possible and n else "never",
                "size": f"{row['size']:.4f}{' > alpha' if above else ''}",
                "occurred": f"{row['n_low']}" if row["n_low"] == row["n_high"] else f"{row['n_low']} – {row['n_high']}",
                "range": number(row["low"])
                if row["n_low"] == row["n_high"]
                else f"{row['low']:.4f} – {row['high']:.4f}",
                "mean": f"{row['mean']:.4f}{' > alpha' if row['mean'] > row['alpha'] else ''}",
                "looks": f"{row['looks']:.4f}{' > alpha' if at_looks and row['looks'] > row['alpha'] else ''}"
                if at_looks
                else "–",
            }
        )
    labels = {
        "n": "n, most frequent", "rejects": "rejects at", "size": "exact size", "occurred": "n", "range": "size",
        "mean": "mean size", "looks": "over its looks",
    }  # fmt: skip
    frame = pd.DataFrame(rows)
    if table["looks"].isna().all():
        frame = frame.drop(columns="looks")
        labels.pop("looks")
    spanners = {"over the n that occurred": ["occurred", "range", "mean"]}
    right = [column for column in frame.columns if column not in ("test", "method")]
    return drawn(frame, name, labels=labels, right=right, code=["test"], spanners=spanners)


def excess(table: Any) -> list[str]:
    """A sentence for each test whose exact size exceeds its alpha, at one n or on average over those that occurred."""
    sentences = []
    for (test, method, alpha), rows in table.groupby(["test", "method", "alpha"], sort=False):
        above = rows[(rows["size"] > alpha) | (rows["mean"] > alpha)]
        if above.empty:
            continue
        worst = above.loc[above["mean"].idxmax()]
        if worst["n_low"] == worst["n_high"]:
            size = f"{worst['size']:.4f} at n = {worst['n']}"
        else:
            occurred = f"the n that occurred ({worst['n_low']} to {worst['n_high']}), and up to {worst['high']:.4f}"
            size = f"{worst['mean']:.4f} on average over {occurred}"
        often = "" if len(rows) == 1 else f"; it exceeds alpha in {len(above)} of its {len(rows)} rows below"
        null = percent(worst["null"])
        sentences.append(
            f"The {method} test '{test}' of the null {null} has an exact size of {size}; its alpha is {alpha:g}{often}."
        )
    return sentences
