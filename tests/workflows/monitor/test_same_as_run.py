"""Property: what `decide` claims of a trial's counts is what `run` claims of them, over generated designs and data."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import vtrial
from tests.fuzz.designs import designs
from vtrial import scenario
from vtrial._support.errors import InputError
from vtrial.model.dose_response import Step
from vtrial.model.world import World
from vtrial.protocol.build import Protocol, in_worlds
from vtrial.trial import interim
from vtrial.trial.observation.looks import Running


@st.composite
def patients(draw: st.DrawFn, number: int) -> dict[str, np.ndarray]:
    """Who has which endpoint, in order of infusion."""
    seed = draw(st.integers(0, 2**32 - 1))
    rate = draw(st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.95]))
    draws = np.random.default_rng(seed).random((3, number))
    orr = draws[0] < rate
    return {"orr": orr, "cr": orr & (draws[1] < 0.6), "crs3": draws[2] < draw(st.sampled_from([0.05, 0.4]))}


def running(seen: dict[str, np.ndarray]) -> Running:
    """The same patients as the simulation counts them."""
    number = len(seen["orr"])
    totals = {name: jnp.asarray(np.append(0, np.cumsum(has)), jnp.int32) for name, has in seen.items()}
    return Running(jnp.arange(number + 1, dtype=jnp.int32), totals)


def ready(read: scenario.Scenario, end: int) -> Protocol:
    """The protocol that `run` would simulate."""
    study = vtrial.load_evidence("karmma")
    world = World(np.zeros((1, len(Step))), np.zeros((1, len(Step))))
    return in_worlds(read.cells[0], study, world, where="test", capacity=end)


@settings(max_examples=30)
@given(st.data())
def test_a_claim_by_decide_is_the_claim_by_run_on_the_same_counts(data: st.DataObject) -> None:
    raw = data.draw(designs())
    end = raw["cohort"]["infused"]
    seen = data.draw(patients(end))
    read = scenario.from_dict(raw)
    try:
        protocol = ready(read, end)
    except InputError:  # bounds that cross, a count that is always met
        assume(False)
    with jax.enable_x64(False):
        outcome, _ = interim.concluded(running(seen), protocol.numbers, protocol.plan)
    expected = {name: bool(rejected) for name, rejected in outcome.rejected.items()}
    stop = len(raw["look"]) if outcome.decision is None else int(outcome.decision.end)
    held = [(look["name"], look["when"]["infused"]) for look in raw["look"]][: stop + 1]
    held += [] if stop < len(raw["look"]) else [("end", end)]
    entries = [
        {"name": name, "infused": n, "counts": {e: int(has[:n].sum()) for e, has in seen.items()}} for name, n in held
    ]
    verdict = vtrial.decide(read, {"look": entries})
    assert verdict.rejected == expected
    assert (verdict.outcome != "") == (stop < len(raw["look"]))
    assert "assumes" not in verdict.sentence
