"""Ranks -> a table and a figure: is each quantity's rank uniform, within simultaneous 95% bands?"""

from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd

OUT = Path(__file__).parent


def _gamma(ranks: np.ndarray, kept: int) -> float:
    """Smallest pointwise tail probability of the ranks' empirical distribution (Sailynoja et al. 2022, sect. 3)."""
    from scipy.stats import binom

    n = len(ranks)
    points = np.arange(1, kept + 1) / (kept + 1)
    below = (ranks[:, None] < np.arange(1, kept + 1)[None]).sum(0)
    tails = np.minimum(binom.cdf(below, n, points), binom.sf(below - 1, n, points))
    return float(2 * tails.min())


def table(ranks: pd.DataFrame, kept: int, seed: int) -> pd.DataFrame:
    """A row a quantity: mean rank (0 to 1, half expected), and p of the whole empirical distribution."""
    rng = np.random.default_rng(seed)
    n = ranks["trial"].nunique()
    null = np.array([_gamma(rng.integers(0, kept + 1, n), kept) for _ in range(4000)])
    rows = []
    for quantity, group in ranks.groupby("quantity", sort=False):
        u = group["rank"].to_numpy()
        p = float((null <= _gamma(u, kept)).mean())
        inside = [float(((u >= kept * a) & (u <= kept * (1 - a))).mean()) for a in (0.25, 0.1, 0.025)]
        rows.append((quantity, len(u), (u / kept).mean(), *inside, p, p >= 0.05))
    columns = ["quantity", "trials", "mean rank", "in 50%", "in 80%", "in 95%", "p", "in 95% band"]
    return pd.DataFrame(rows, columns=columns)


def report(ranks: pd.DataFrame, at: str, kept: int, seed: int) -> None:
    """Write ranks-<at>.csv and ranks-<at>.svg; print the table."""
    failed = ranks[ranks["quantity"] == "failed"]
    ranks = ranks[ranks["quantity"] != "failed"]
    found = table(ranks, kept, seed)
    found.round(3).to_csv(OUT / f"ranks-{at}.csv", index=False, lineterminator="\n")
    print(found.round(3).to_string(index=False))
    print(
        f"{len(failed)} fits failed; divergent transitions in {(ranks.groupby('trial')['divergent'].max() > 0).sum()}"
    )
    print(
        f"{found['in 95% band'].sum()} of {len(found)} inside the simultaneous 95% band "
        f"(expected {0.95 * len(found):.0f})"
    )
    data = ranks.assign(rank=ranks["rank"] / kept)
    chart = (
        alt.Chart(data)
        .mark_bar(color="#0072B2")
        .encode(
            x=alt.X("rank:Q", bin=alt.Bin(step=0.1), title="rank of the truth among posterior draws (0 to 1)"),
            y=alt.Y("count()", title="trials"),
        )
        .properties(width=110, height=60)
        .facet(
            "quantity:N",
            columns=6,
            title=f"Truths from the {at}, {data['trial'].nunique()} simulated trials, seed {seed}",
        )
    )
    with alt.data_transformers.enable("default", max_rows=None):
        chart.save(OUT / f"ranks-{at}.svg")
