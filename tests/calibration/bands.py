"""Ranks -> a table and a figure: is each quantity's rank uniform, within simultaneous 95% bands?"""

from datetime import date
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
from scipy.stats import binom

OUT = Path(__file__).parent
NULLS = 4000  # simulated sets of uniform ranks, from which the bands come


def _below(ranks: np.ndarray, kept: int) -> np.ndarray:
    """How many ranks lie below 1, 2, ... kept, (kept,)."""
    return (ranks[:, None] < np.arange(1, kept + 1)[None]).sum(0)


def _gamma(ranks: np.ndarray, kept: int) -> float:
    """Smallest pointwise tail probability of the ranks' empirical distribution (Sailynoja et al. 2022, sect. 3)."""
    n, below = len(ranks), _below(ranks, kept)
    points = np.arange(1, kept + 1) / (kept + 1)
    return float(2 * np.minimum(binom.cdf(below, n, points), binom.sf(below - 1, n, points)).min())


def _null(n: int, kept: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.array([_gamma(rng.integers(0, kept + 1, n), kept) for _ in range(NULLS)])


def table(ranks: pd.DataFrame, kept: int, seed: int) -> pd.DataFrame:
    """A row a quantity: mean rank (0 to 1, half expected), coverage, p of the whole empirical distribution."""
    null = _null(ranks["trial"].nunique(), kept, seed)
    rows = []
    for quantity, group in ranks.groupby("quantity", sort=False):
        u = group["rank"].to_numpy()
        p = float((null <= _gamma(u, kept)).mean())
        inside = [float(((u >= kept * a) & (u <= kept * (1 - a))).mean()) for a in (0.25, 0.1, 0.025)]
        rows.append((quantity, len(u), (u / kept).mean(), *inside, p, p >= 0.05))
    columns = ["quantity", "trials", "mean rank", "in 50%", "in 80%", "in 95%", "p", "in 95% band"]
    return pd.DataFrame(rows, columns=columns)


def figure(ranks: pd.DataFrame, kept: int, seed: int, title: str) -> alt.FacetChart:
    """Empirical distribution of each quantity's ranks less the uniform one, within its simultaneous 95% band."""
    n = ranks["trial"].nunique()
    gamma = float(np.quantile(_null(n, kept, seed), 0.05))
    points = np.arange(1, kept + 1) / (kept + 1)
    band = {
        f"{side}": binom.ppf(q, n, points) / n - points for side, q in (("low", gamma / 2), ("high", 1 - gamma / 2))
    }
    rows = [
        pd.DataFrame({"quantity": quantity, "rank": points, "off": _below(u.to_numpy(), kept) / n - points, **band})
        for quantity, u in ranks.groupby("quantity", sort=False)["rank"]
    ]
    order = list(ranks["quantity"].unique())
    base = alt.Chart(pd.concat(rows)).encode(x=alt.X("rank:Q", title="rank of the truth", axis=alt.Axis(tickCount=3)))
    area = base.mark_area(color="#bbbbbb", opacity=0.6).encode(
        y=alt.Y("low:Q", title="ECDF - uniform"), y2=alt.Y2("high:Q")
    )
    line = base.mark_line(color="#0072B2", interpolate="step-after").encode(y="off:Q")
    panel = alt.layer(area, line).properties(width=110, height=70)
    return panel.facet(facet=alt.Facet("quantity:N", sort=order, title=None), columns=6, title=title)


def report(ranks: pd.DataFrame, at: str, kept: int, seed: int, day: str | None = None) -> None:
    """Write ranks-prior.csv and ranks-prior.svg, or coverage-posterior.csv, with seed and date; print the table.

    At one truth ranks are not uniform, however right the fit is: priors pull. Coverage is what is shown of it.
    """
    day = day or date.today().isoformat()
    failed = ranks[ranks["quantity"] == "failed"]
    ranks = ranks[ranks["quantity"] != "failed"]
    found = table(ranks, kept, seed)
    shown = found if at == "prior" else found.drop(columns=["mean rank", "p", "in 95% band"])
    name = "ranks-prior" if at == "prior" else "coverage-posterior"
    shown.round(3).assign(seed=seed, date=day).to_csv(OUT / f"{name}.csv", index=False, lineterminator="\n")
    print(shown.round(3).to_string(index=False))
    print(
        f"{len(failed)} fits failed; divergent transitions in {(ranks.groupby('trial')['divergent'].max() > 0).sum()}"
    )
    if at != "prior":
        return
    print(
        f"{found['in 95% band'].sum()} of {len(found)} inside the simultaneous 95% band "
        f"(expected {0.95 * len(found):.0f}); smallest p of all {len(found)}, times {len(found)} (Bonferroni): "
        f"{min(1.0, len(found) * found['p'].min()):.2f}"
    )
    title = f"Truths from the prior, {ranks['trial'].nunique()} simulated trials, seed {seed}, {day}"
    with alt.data_transformers.enable("default", max_rows=None):
        figure(ranks, kept, seed, title).save(OUT / f"{name}.svg")
