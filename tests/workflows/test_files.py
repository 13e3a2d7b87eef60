"""Tables as files: numbers are numbers to whoever reads them, without being told; names are unique."""

import numpy as np
import pandas as pd
import pytest

import vtrial
from vtrial import scenario
from vtrial.characteristics.monte_carlo import COLUMNS, row
from vtrial.scenario import sweep
from vtrial.workflows.files import write_table

NUMBERS = ["estimate", "mcse", "mc_low", "mc_high"]


def table(rows: int = 150) -> pd.DataFrame:
    """Two cells of figures, of which the first has nothing that the second is swept over."""
    first = pd.DataFrame([row(f"m{k}", 0.1 * k, 0.01, 0.0, 1.0, 10, "simulated") for k in range(rows)])
    second = pd.DataFrame(
        [
            row("os.median.q975", np.inf, np.nan, 9.0, np.inf, 10, "simulated"),
            row("os.s18", np.nan, np.nan, np.nan, np.nan, 3, "simulated"),
        ]
    )
    second["world.truth.orr"] = 0.5
    return pd.concat([first, second], ignore_index=True).assign(cell=0)[[*COLUMNS, "world.truth.orr"]]


def test_numbers_are_numbers_without_arguments(tmp_path):
    write_table(tmp_path / "table.csv", table())
    read = pd.read_csv(tmp_path / "table.csv")
    assert list(read.columns) == [*COLUMNS, "world.truth.orr"]
    assert all(read[column].dtype.kind == "f" for column in (*NUMBERS, "world.truth.orr"))
    assert read["status"].tolist()[-2:] == ["NR", "NE"]
    assert set(read["status"][:-2]) == {"estimated"}
    assert read["estimate"].iloc[-2] == np.inf
    assert np.isnan(read["estimate"].iloc[-1])
    last = (tmp_path / "table.csv").read_text().splitlines()[-1].split(",")
    assert last[3:7] == ["", "", "", ""]  # empty, no word among numbers
    # polars guesses from a hundred rows: a column that begins with a hundred missing numbers would be text to it
    values = [line.split(",")[-1] for line in (tmp_path / "table.csv").read_text().splitlines()[1:]]
    assert any(value for value in values[:100])
    assert all(np.isnan(float(value)) for value in values[:-2] if value)


def test_swept_values_are_numbers_and_tables_a_column_a_key():
    points = [
        {"world.truth": "posterior", "cohort.attrition": 0.1, "arm.a.doses": {"450": 1}},
        {"world.truth": {"orr": {"300": 0.6}, "cr": 0.2}, "cohort.attrition": "fitted", "arm.a.doses": {"300": 2}},
        {"world.truth": {"orr": 0.5}, "cohort.attrition": 0.2, "arm.a.doses": {"300": 1, "450": 1}},
    ]
    assert sweep.columns(points) == [
        {"world.truth": "posterior", "cohort.attrition": 0.1, "arm.a.doses.450": 1},
        {
            "world.truth.orr.300": 0.6, "world.truth.cr": 0.2, "cohort.attrition.word": "fitted",
            "arm.a.doses.300": 2,
        },
        {"world.truth.orr": 0.5, "cohort.attrition": 0.2, "arm.a.doses.300": 1, "arm.a.doses.450": 1},
    ]  # fmt: skip
    (one,) = sweep.columns([{"x.dose": "450", "x.level": "0.95", "x.prior": [1, 2], "x.name": "nan"}])
    assert one == {"x.dose": 450, "x.level": 0.95, "x.prior": "1, 2", "x.name": "nan"}


def test_no_arm_is_named_all():
    with pytest.raises(vtrial.InputError, match=r"\[\[arm\]\].*name = 'all'.*another name"):
        scenario.from_dict({"arm": [{"name": "all"}], "test": [{"name": "t", "endpoint": "orr", "null": 0.5}]})
