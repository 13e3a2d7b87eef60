"""Success claimed at looks: by forecasts too, voided by harm, and left to the final test where enrolment ends."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom, binom

from vtrial import look_characteristics, scenario
from vtrial.characteristics import exact_by_world
from vtrial.engine import simulate
from vtrial.evidence import Evidence
from vtrial.posterior import Posterior
from vtrial.protocol import Protocol, prepare

COUNT = {"name": "t", "endpoint": "orr", "null": 0.1, "method": "count", "count": 6}
LIKELY = {"kind": "predictive", "test": "t", "at_least": 0.9, "then": "success"}


@pytest.fixture
def protocol(evidence: Evidence, posterior: Posterior) -> Callable[..., Protocol]:
    def make(truth: dict[str, Any], **raw: Any) -> Protocol:
        whole = {"world": {"truth": truth}, "simulation": {"endpoints": ["orr"]}} | raw
        return prepare(scenario.from_dict(whole).cells[0], evidence, posterior, where="test")

    return make


def exactly(p: Protocol) -> dict[str, float]:
    return {name: float(value[0]) for name, value in exact_by_world(p, 1)[1].items()}


def agrees(p: Protocol, trials: int = 4000) -> dict[str, float]:
    """The exact metrics, each held against the simulation (z at most 5)."""
    outcome = simulate(p.plan, p.numbers, p.worlds, seed=5, trials=trials)
    found = exactly(p)
    simulated = {f"{name}.reject": rejected for name, rejected in outcome.rejected.items()}
    simulated |= dict(look_characteristics.stops(p, outcome))
    simulated["success"] = look_characteristics.success(p, outcome)
    for name, happened in simulated.items():
        spread = max(found[name] * (1.0 - found[name]) / trials, 1e-9) ** 0.5
        assert abs(float(happened.mean()) - found[name]) <= 5.0 * spread + 1e-9, name
    return found


@pytest.mark.parametrize(("truth", "shown", "stops"), [(0.6, 0.9999, 0.9907), (0.1, 0.0371, None)])
def test_success_by_forecast_is_success_shown(protocol, truth: float, shown: float, stops: float | None) -> None:
    """15 of 25 looked at, 6 of 25 needed: summed by hand."""
    p = protocol(
        {"orr": truth},
        cohort={"infused": 25},
        test=[COUNT],
        look=[{"name": "c", "when": {"infused": 15}, "rule": [LIKELY]}],
    )
    found = agrees(p)
    x = np.arange(16)
    fires = betabinom.sf(6 - x - 1, 10, 1 + x, 1 + 15 - x) >= 0.9
    early = float(binom.pmf(x, 15, truth) @ fires)
    late = float((binom.pmf(x, 15, truth) * ~fires) @ binom.sf(6 - x - 1, 10, truth))
    assert found["t.reject"] == pytest.approx(early + late, abs=1e-7)
    assert found["stop.success"] == pytest.approx(early, abs=1e-7)
    assert found["success"] == pytest.approx(early + late, abs=1e-7)
    assert found["familywise.error"] == pytest.approx(early + late if truth == 0.1 else 0.0, abs=1e-7)
    assert round(found["t.reject"], 4) == shown
    assert stops is None or round(found["stop.success"], 4) == stops
