"""Trials and worlds -> operating characteristics: `tables`; `monte_carlo`: their errors; `survival`: curves."""

from vtrial.characteristics.monte_carlo import COLUMNS, clustered_mcse, independent, interval
from vtrial.characteristics.tables import (
    WORTHWHILE,
    exact_by_world,
    exact_rows,
    metric_of_flag,
    table,
    trials_table,
    true_by_world,
)

__all__ = [
    "COLUMNS",
    "WORTHWHILE",
    "clustered_mcse",
    "exact_by_world",
    "exact_rows",
    "independent",
    "interval",
    "metric_of_flag",
    "table",
    "trials_table",
    "true_by_world",
]
