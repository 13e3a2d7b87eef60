"""Tables of what `characteristics.sensitivity` finds."""

import pandas as pd
from markupsafe import Markup

from vtrial.characteristics.sensitivity import VARIED
from vtrial.model.vocabulary import in_figures
from vtrial.report.tables.overview import drawn
from vtrial.report.words.general import error_in_words


def sizes_of_times_table(table: pd.DataFrame, id_: str) -> Markup:
    """`sizes_of_times` for readers."""
    rows = []
    for _, row in table.iterrows():
        above = row["rejects"] - 2.0 * row["mcse"] > row["alpha"]
        rows.append(
            {
                "test": f"{row['test']} ({row['method']}, alpha {row['alpha']:g})",
                "truth": f"{row['curve']}, {row['scale']} median {row['null']:g} months",
                "rejects": f"{row['rejects']:.3f} ({error_in_words(row, 3)}){' > alpha' if above else ''}",
            }
        )
    labels = {"truth": "true curve", "rejects": "rejects"}
    return drawn(pd.DataFrame(rows), id_, group="test", labels=labels, right=["rejects"])


def visits_varied_table(table: pd.DataFrame, id_: str) -> Markup:
    """`visits_varied` for readers."""
    frame = pd.DataFrame({"what": table["what"]})
    labels, spanners = {"what": ""}, {}
    for endpoint in (endpoint for endpoint in VARIED if f"{endpoint}.q50" in table):
        q50, q025, q975 = (table[f"{endpoint}.{part}"] for part in ("q50", "q025", "q975"))
        frame[endpoint] = [in_figures(value) for value in q50]
        frame[f"{endpoint} range"] = [" – ".join(map(in_figures, pair)) for pair in zip(q025, q975, strict=True)]
        frame[f"{endpoint} nr"] = [in_figures(share, ".1%") for share in table[f"{endpoint}.nr"]]
        labels |= {endpoint: "median", f"{endpoint} range": "95% of trials", f"{endpoint} nr": "NR in"}
        spanners[f"median {endpoint.upper()}, months"] = [endpoint, f"{endpoint} range", f"{endpoint} nr"]
    right = [column for column in frame.columns if column != "what"]
    return drawn(frame, id_, labels=labels, right=right, spanners=spanners)
