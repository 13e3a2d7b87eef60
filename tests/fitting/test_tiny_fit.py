"""A study of a few counts, fitted in seconds: the fit is what it was, and does not see what is held back."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from vtrial.evidence import Evidence, load
from vtrial.fitting import sample, sampling
from vtrial.fitting.cache import FIT_VERSION
from vtrial.fitting.inputs import used
from vtrial.model.posterior import FitError, Settings

REFERENCE = Path(__file__).with_name("tiny_fit.csv")
SETTINGS = Settings(draws=1000, tune=500, chains=4, seed=7)
HEADER = "fact,system,population,dose,subgroup,time,statistic,count,n,value,low,high,level,unit,method,cut,source,use"
COUNTS = {
    "infused.all": (20, 24, "enrolled", "all", "fit"),
    "infused.1": (8, 20, "infused", "1", "context"),
    "infused.2": (12, 20, "infused", "2", "context"),
    "orr.1": (3, 8, "infused", "1", "fit"),
    "orr.2": (9, 12, "infused", "2", "fit"),
    "cr.1": (1, 8, "infused", "1", "fit"),
    "cr.2": (4, 12, "infused", "2", "fit"),
    "vgpr.all": (3, 20, "infused", "all", "fit"),
}
PRIORS = """
title = "A tiny study, for tests"
citation = "No such trial was run"
doi = "none"
[dose]
reference = 1
unit = "1e6 cells"
[slope]
mean = 0.0
sd = 1.0
reason = "No effect, nearly."
[correlation]
""" + "".join(
    f'[intercept.{step}]\nmean = 0.0\nsd = 1.5\nreason = "Nearly flat."\n'
    for step in ("infused", "response", "cr", "vgpr")
)


def tiny(folder: Path, **changes: tuple[int, str]) -> Evidence:
    """The study; changes: the count and the label of facts, by their ids with an underscore for a dot."""
    folder.mkdir(parents=True)
    lines = [HEADER]
    for fact, (count, n, population, dose, use) in COUNTS.items():
        count, use = changes.get(fact.replace(".", "_"), (count, use))
        lines.append(f"{fact},any,{population},{dose},,,count,{count},{n},,,,,patients,,,invented,{use}")
    (folder / "facts.csv").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "priors.toml").write_text(PRIORS, "utf-8")
    return load(folder)


def test_the_fit_is_that_of_its_version(tmp_path: Path) -> None:
    """Within Monte Carlo error of what this version of the fit gave when it was recorded.

    `VTRIAL_RECORD=1` records it anew, after FIT_VERSION has been raised.
    """
    table = sample.sample(tiny(tmp_path / "tiny"), settings=SETTINGS)["diagnostics"].to_dataset().to_dataframe()
    found = table[["mean", "sd", "ess_mean"]].assign(fit_version=FIT_VERSION)
    if os.environ.get("VTRIAL_RECORD"):
        found.round(6).to_csv(REFERENCE)
    expected = pd.read_csv(REFERENCE, index_col="parameter")
    assert list(expected.index) == list(found.index)
    assert set(expected["fit_version"]) == {FIT_VERSION}, "record the fit of this version: VTRIAL_RECORD=1"
    assert (moved := beyond_monte_carlo_error(found, expected)) == [], (
        f"the posterior moved ({', '.join(moved)}): FIT_VERSION in vtrial/fitting/cache.py must rise"
    )


def beyond_monte_carlo_error(found: pd.DataFrame, expected: pd.DataFrame) -> list[str]:
    """The parameters whose mean or SD is further off than 5 Monte Carlo errors of both fits."""
    error = np.sqrt(found["sd"] ** 2 / found["ess_mean"] + expected["sd"] ** 2 / expected["ess_mean"])
    far = ((found["mean"] - expected["mean"]) / error).abs()
    wide = (np.log(found["sd"] / expected["sd"]) / np.sqrt(1 / found["ess_mean"] + 1 / expected["ess_mean"])).abs()
    return sorted(map(str, far.index[(far > 5.0) | (wide > 5.0)]))


def test_a_moved_posterior_is_noticed() -> None:
    """One responder more of eight at the lower dose would move the intercept of a response by a quarter of its SD."""
    expected = pd.read_csv(REFERENCE, index_col="parameter")
    assert beyond_monte_carlo_error(expected, expected) == []
    moved = expected.assign(mean=expected["mean"] + 0.25 * expected["sd"].where(expected.index == "slope[cr]", 0.0))
    assert beyond_monte_carlo_error(moved, expected) == ["slope[cr]"]
    wider = expected.assign(sd=expected["sd"].where(expected.index != "intercept[vgpr]", 1.2 * expected["sd"]))
    assert beyond_monte_carlo_error(wider, expected) == ["intercept[vgpr]"]


def test_a_checked_count_leaves_the_posterior_as_it_was_to_the_bit(tmp_path: Path) -> None:
    read = [tiny(tmp_path / str(count), orr_1=(count, "check")) for count in (3, 7)]
    one, other, fitted = (sample.sample(e, settings=SETTINGS) for e in (*read, tiny(tmp_path / "fitted")))
    for name in ("intercept", "slope"):
        np.testing.assert_array_equal(one["posterior"][name].values, other["posterior"][name].values)
        assert not np.array_equal(one["posterior"][name].values, fitted["posterior"][name].values)
    assert json.loads(one.attrs["read"]) == sorted(used(read[0]).read)
    assert "orr.1" not in json.loads(one.attrs["read"])
    assert "orr.1" in json.loads(fitted.attrs["read"])


def test_what_falls_short_is_sampled_for_longer_before_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence, short = tiny(tmp_path / "tiny"), Settings(draws=150, tune=200, chains=4, seed=7)
    lengths = []
    draw = sampling._drawn

    def counted(*arguments: object) -> object:
        lengths.append(arguments[-1])
        return draw(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(sampling, "_drawn", counted)
    monkeypatch.setattr(sampling, "MIN_ESS", 450.0)
    monkeypatch.setattr(sampling, "MAX_RHAT", 1.03)
    tree = sample.sample(evidence, settings=short)
    assert lengths[0] == 1
    assert lengths[-1] == sampling.LONGER
    assert tree["posterior"].sizes["draw"] == 150  # as many as were asked for, further apart
    assert float(tree["diagnostics"]["ess_bulk"].min()) >= 450
    monkeypatch.setattr(sampling, "MIN_ESS", 1e6)
    with pytest.raises(FitError, match=r"ess_bulk of .* after sampling up to \d+ times as long; this is of ") as caught:
        sample.sample(evidence, settings=short)
    assert caught.value.parameters
