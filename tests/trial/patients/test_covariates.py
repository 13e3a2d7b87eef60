"""A shifted mix of patients: kept rates at the study's own mix, and the exact rate at another."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit

import vtrial
from vtrial import InputError
from vtrial.model.posterior import Posterior
from vtrial.trial.patients import covariates

N = 400_000


def _rate(share: float, effect: float, study_share: float, fitted: float) -> float:
    """P(response) at a mix, with the intercept solved by bisection: the same by another way."""

    def at(intercept: float, p: float) -> float:
        return float(p * expit(intercept + effect) + (1 - p) * expit(intercept))

    intercept = brentq(lambda a: at(a, study_share) - fitted, -20, 20)
    return at(intercept, share)  # type: ignore[arg-type]


@pytest.mark.parametrize(("share", "effect"), [(0.4, -2.0), (0.9, -2.0), (0.1, 1.5), (0.7, 0.0)])
def test_the_rate_is_kept_at_the_studys_mix_and_moves_as_it_must(share: float, effect: float) -> None:
    has = jax.random.uniform(jax.random.key(1), (N,), dtype=jnp.float32) < share
    data = jnp.array([[effect, 0.3, logit(0.4), logit(0.4)]], jnp.float32)
    p = covariates.response(
        (has,), jnp.zeros(N, jnp.int32), jnp.array([0.7], jnp.float32), data, jnp.array([0], jnp.int32)
    )
    wanted = _rate(share, effect, 0.4, 0.7)
    assert abs(float(np.asarray(p, np.float64).mean()) - wanted) < 5 * np.asarray(p).std() / np.sqrt(N) + 1e-5
    if share == 0.4:
        assert wanted == pytest.approx(0.7)


def test_log_hazards_average_zero_at_the_studys_mix() -> None:
    has = jax.random.uniform(jax.random.key(1), (N,), dtype=jnp.float32) < 0.4
    data = jnp.array([[0.0, 0.8, logit(0.4)]], jnp.float32)
    found = np.asarray(covariates.log_hazard((has,), jnp.zeros(N, jnp.int32), data, jnp.array([0], jnp.int32)))
    assert abs(found.mean()) < 5 * found.std() / np.sqrt(N)
    assert np.unique(found.round(5)).tolist() == pytest.approx([-0.32, 0.48], abs=1e-4)


def test_a_shifted_mix_through_the_whole_run(posterior: Posterior) -> None:
    """At the study's share nothing moves, with or without effect; at another share ORR is what the formula says."""
    flags = posterior.flags
    assert flags is not None
    names = [flag.name for flag in vtrial.load_evidence("karmma").flags.drawn]
    own = float(expit(flags[:, names.index("baseline.extramedullary"), 1].mean()))
    fitted = float(expit(posterior.intercept.mean(0)[1]))

    def orr(share: float) -> tuple[float, float]:
        return vtrial.run(
            {
                "world": {"truth": "posterior-mean", "effect": {"baseline.extramedullary": {"response": -1.5}}},
                "arm": [{"doses": {"300": 1}}],
                "cohort": {"infused": 100, "mix": {"baseline.extramedullary": share}},
                "simulation": {"trials": 4000, "endpoints": ["orr"], "flags": ["baseline.extramedullary"]},
            }
        ).value("orr.rate")

    for share in (own, 0.9):
        rate, error = orr(share)
        assert abs(rate - _rate(share, -1.5, own, fitted)) < 5 * error


def test_what_cannot_be_shifted_is_refused(posterior: Posterior) -> None:
    for mix, says in (
        ({"baseline.extramedulary": 0.5}, "did you mean 'baseline.extramedullary'"),
        ({"baseline.male": 0.5}, "has no covariate 'baseline.male'"),
        ({"baseline.extramedullary": 1.5}, "mix"),
    ):
        with pytest.raises(InputError) as error:
            vtrial.run({"cohort": {"mix": mix}, "simulation": {"trials": 10, "endpoints": ["orr"]}})
        assert says in str(error.value)
    with pytest.raises(InputError, match="has an effect only where"):
        vtrial.run(
            {
                "world": {"effect": {"baseline.extramedullary": {"response": 1.0}}},
                "simulation": {"trials": 10, "endpoints": ["orr"]},
            }
        )


def test_no_exact_value_is_claimed_for_a_shifted_mix(posterior: Posterior) -> None:
    result = vtrial.run(
        {
            "cohort": {"mix": {"baseline.extramedullary": 0.5}},
            "test": [{"name": "orr", "endpoint": "orr", "null": 0.5}],
            "simulation": {"trials": 50, "endpoints": ["orr"]},
        }
    )
    assert set(result.characteristics["method"]) == {"simulated"}
    assert "familywise.error" not in set(result.characteristics["metric"])
