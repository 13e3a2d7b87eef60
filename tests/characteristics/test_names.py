"""No two metrics, and no two columns of trials, have one name."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import vtrial
from vtrial import scenario
from vtrial.characteristics import metrics, survival, table
from vtrial.characteristics.monte_carlo import row
from vtrial.model.descriptors import CORE
from vtrial.model.endpoints import ENDPOINTS
from vtrial.model.posterior import Posterior
from vtrial.workflows.result import Result

PLAN = SimpleNamespace(
    tests=(),
    endpoints=("orr", "vgpr", "crs3"),
    flags=("vgpr", "orr", "crs3"),
    curves=(),
    looks=(),
    rules=(),
    mix=0,
    shifted=False,
)
PROTOCOL: Any = SimpleNamespace(
    plan=PLAN,
    tests=(),
    worlds=SimpleNamespace(size=1),
    ess=1.0,
    doses=(450000000.0, 450000001.0),
    design=SimpleNamespace(success=[], test=[]),
)


def outcome(trials: int = 50) -> Any:
    """Trials of 20 patients, of which 14 respond: 5 PR, 4 VGPR, 5 CR."""
    twenty = np.full(trials, 20, np.int32)
    counts = {"orr": twenty - 6, "vgpr": twenty - 11, "crs3": twenty - 19}
    flags = np.tile(np.array([4, 13, 1], np.int32), (trials, 1))  # of the responses one is not documented at the cut
    return SimpleNamespace(
        infused=twenty, enrolled=twenty, counts=counts, flags=flags, rejected={}, decision=None, follow_up=None
    )


def test_a_flag_and_an_endpoint_of_one_name_are_two_metrics():
    """VGPR or better is the endpoint's, exactly VGPR the flag's: 9 and 4 of 20."""
    rows = pd.DataFrame(list(table._simulated(PROTOCOL, outcome(), 1)))
    assert not rows.duplicated(["metric", "method"]).any()
    value = rows.set_index("metric")["estimate"]
    assert value["vgpr.rate"] == pytest.approx(9 / 20)
    assert value["flag.vgpr.rate"] == pytest.approx(4 / 20)
    assert (value["orr.rate"], value["flag.orr.rate"]) == pytest.approx((14 / 20, 13 / 20))
    assert set(rows["metric"]) <= set(metrics.known(PROTOCOL))


def test_columns_of_trials_have_names_of_their_own():
    trials = table.trials_table(PROTOCOL, outcome(), cell=0)
    assert (trials["vgpr.count"] == 9).all()
    np.testing.assert_allclose(trials["vgpr.rate"], 9 / 20)
    assert (trials["flag.vgpr.count"] == 4).all()
    assert not {f"{name}.count" for name in CORE if name in ENDPOINTS} & {f"flag.{name}.count" for name in CORE}


def test_doses_that_differ_have_curves_that_do():
    names = [survival.name(PROTOCOL, ("pfs", f"dose{k}")) for k in range(2)]
    assert names == ["pfs.450000000", "pfs.450000001"]


def test_flags_say_what_they_are():
    said = {metric.name: metric for metric in metrics.metrics(PROTOCOL)}
    assert said["flag.vgpr.rate"].label == "best response VGPR, no better"
    assert said["vgpr.rate"].heading == "Rate of VGPR or better"
    assert said["flag.crs3.rate"].label == "CRS of grade 3 or higher"
    assert "not estimable" in said["flag.orr.rate.ne"].label


def test_a_metric_that_is_there_twice_is_no_value():
    twice = pd.DataFrame([row("vgpr.rate", p, 0.01, 0.0, 1.0, 10, "simulated") for p in (0.5, 0.2)]).assign(cell=0)
    nothing: Any = None
    result = Result(nothing, nothing, {}, (), twice, twice, {})
    with pytest.raises(vtrial.InputError, match=r"2 simulated metrics 'vgpr\.rate'"):
        result.value("vgpr.rate")
    result = Result(nothing, nothing, {}, (), twice.head(1), twice, {})
    assert result.value("vgpr.rate") == (0.5, 0.01)


LOOK = {"when": {"infused": 20}, "rule": [{"kind": "count", "endpoint": "orr", "at_most": 5, "then": "futility"}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"test": [{"name": "all", "endpoint": "orr", "null": 0.5}]}, "'all' is the name of a metric of its own"),
        (
            {
                "look": [
                    LOOK | {"name": "a", "when": {"infused": [10, 20]}},
                    LOOK | {"name": "a", "when": {"infused": 30}},
                ]
            },
            r"\[\[look\]\] 'a'.*stop\.a",
        ),
        (
            {
                "look": [
                    LOOK | {"name": "a", "when": {"infused": [10, 20]}},
                    LOOK | {"name": "a-10", "when": {"infused": [30, 40]}},
                ]
            },
            r"'a-10'.*stop\.a-10",
        ),
    ],
)
def test_a_collision_is_refused_when_a_scenario_is_read(changes: Any, message: str):
    base = {"test": [{"name": "t", "endpoint": "orr", "null": 0.5}], "simulation": {"endpoints": ["orr"]}}
    with pytest.raises(vtrial.InputError, match=message):
        scenario.from_dict(base | changes)


def test_a_collision_that_only_the_cell_shows_is_refused_before_it_is_simulated():
    twice: Any = SimpleNamespace(**vars(PROTOCOL) | {"plan": SimpleNamespace(**vars(PLAN) | {"flags": ("x", "x")})})
    metrics.check_names([PROTOCOL], "here")
    with pytest.raises(vtrial.InputError, match=r"here: two metrics would be named 'flag\.x\.rate'"):
        metrics.check_names([twice], "here")


def test_every_cell_of_a_sweep_has_its_metrics(posterior: Posterior) -> None:
    """A first cell of one world has no spread over worlds, the next has: their plans are the same."""
    base = {"test": [{"name": "t", "endpoint": "orr", "null": 0.5}], "simulation": {"endpoints": ["orr"], "trials": 50}}
    result = vtrial.run(base | {"sweep": {"world.truth": ["posterior-mean", "posterior"]}})
    assert "t.worthwhile" in set(result.characteristics["metric"])
    assert set(result.characteristics["metric"]) <= set(result.metrics)
