"""The exact size of each test of a rate at its null; with looks, that of its final analysis and that over its looks."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from vtrial.boundaries.one_sample import size_and_power
from vtrial.characteristics.exact.size import size_of
from vtrial.characteristics.stopping import END
from vtrial.model.side import Side
from vtrial.protocol.build import Protocol
from vtrial.report.tables.overview import MOST_ROWS, drawn
from vtrial.report.words.general import number
from vtrial.scenario import TestSection
from vtrial.scenario.wording import percent

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData


def sizes(result: "ResultData") -> pd.DataFrame:
    """Exact size of each test at its null, a row for each test and number of patients that differ between cells.

    Columns: test, endpoint, null, method, alpha (NaN for "posterior" and "count"), population, n (the most frequent
    number of patients), critical, size (at n), n_low, n_high (that occurred), low, high (least and greatest size
    there), mean (size over trials), looks (size over its looks and the end, where it can reject at looks; else NaN; a
    binding futility bound counts, with which the size at n alone is not the test's).
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
    """`size_of` where the test can reject at looks and that is exact; else NaN. Under a graph alphas differ: NaN."""
    known = None if protocol.plan.graph else size_of(protocol, test)
    return known.size if known is not None and known.looks and not known.bounded else math.nan


def sizes_table(table: Any, name: str) -> Markup:
    """`sizes` for readers."""
    rows = []
    for _, row in table.head(MOST_ROWS).iterrows():
        n, critical = row["n"], row["critical"]
        side = Side.of(row["alternative"])
        possible = side.attainable(critical, n)
        at_looks = not math.isnan(row["looks"])
        above = row["size"] > row["alpha"] and not at_looks
        rows.append(
            {
                "test": row["test"],
                "null": percent(row["null"]),
                "method": row["method"],
                "alpha": "–" if math.isnan(row["alpha"]) else f"{row['alpha']:g}",
                "n": f"{n} {row['population']}",
                "rejects": f"{side.sign} {critical} ({critical / n:.1%})" if possible and n else "never",
                "size": f"{row['size']:.4f}{' > alpha' if above else ''}",
                "occurred": f"{row['n_low']}" if row["n_low"] == row["n_high"] else f"{row['n_low']} – {row['n_high']}",
                "range": number(row["low"])
                if row["n_low"] == row["n_high"]
                else f"{row['low']:.4f} – {row['high']:.4f}",
                "mean": f"{row['mean']:.4f}{' > alpha' if row['mean'] > row['alpha'] and not at_looks else ''}",
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
    """A sentence for each test whose exact size exceeds its alpha: over its looks and the end where it can reject at
    looks, else at one n or on average over those that occurred."""
    sentences = []
    for (test, method, alpha), rows in table.groupby(["test", "method", "alpha"], sort=False):
        at_end = rows["looks"].isna() & ((rows["size"] > alpha) | (rows["mean"] > alpha))
        above = rows[at_end | (rows["looks"] > alpha)]
        if above.empty:
            continue
        worst = above.loc[above["mean"].where(above["looks"].isna(), above["looks"]).idxmax()]
        if not math.isnan(worst["looks"]):
            size = f"{worst['looks']:.4f} over its looks and the end, at n = {worst['n']}"
        elif worst["n_low"] == worst["n_high"]:
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
