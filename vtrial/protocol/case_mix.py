"""A shifted mix of patients: what it makes of the response rate and of the hazard at each dose. Host, float64.

The same model as `vtrial.trial.patients.covariates`, averaged over patients: a fitted rate is that of
the study's own mix, and over another mix of covariates the rate is another.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from vtrial._support.arrays import Array
from vtrial.model.world import World

_STEPS = 30  # of Newton's method, as in the simulation
_EDGE = 1e-6  # fitted rates are kept off 0 and 1, as in the simulation


@dataclass(frozen=True)
class CaseMix:
    """Covariates whose share is shifted, in one world or many (leading axis).

    log_odds, log_hazard: of a patient who has the covariate, (..., covariates). here, study: share with it among the
    design's patients and the study's, (..., covariates, doses).
    """

    log_odds: Array
    log_hazard: Array
    here: Array
    study: Array

    @classmethod
    def of(cls, worlds: World, columns: NDArray[np.integer]) -> "CaseMix":
        """That of worlds with `covariates` (`vtrial.protocol.covariates.mixed`). columns: of each dose, (doses,)."""
        covariates = np.asarray(worlds.covariates, np.float64)
        flags = np.asarray(worlds.flags, np.float64)[..., : covariates.shape[-2], :]
        here, study = (expit(logits[..., columns]) for logits in (flags, covariates[..., 2:]))
        return cls(covariates[..., 0], covariates[..., 1], here, study)

    @property
    def patterns(self) -> Array:
        """Who has which covariates, (patterns, covariates), 0 or 1."""
        return np.array(list(itertools.product((0.0, 1.0), repeat=self.log_odds.shape[-1])))

    def weights(self, share: Array) -> Array:
        """P(each pattern), (..., patterns, doses); covariates are independent of each other."""
        has, share = self.patterns[:, :, None], share[..., None, :, :]
        return np.prod(has * share + (1.0 - has) * (1.0 - share), axis=-2)

    def responses(self, p: Array) -> Array:
        """P(response) of each pattern, (..., patterns, doses). p: fitted, over the study's own mix, (..., doses)."""
        weight, moved = self.weights(self.study), (self.log_odds @ self.patterns.T)[..., None]
        p = np.clip(p, _EDGE, 1.0 - _EDGE)
        intercept = logit(p)
        for _ in range(_STEPS):
            at = expit(intercept[..., None, :] + moved)
            slope = np.maximum((weight * at * (1.0 - at)).sum(-2), 1e-6)
            intercept = intercept - np.clip(((weight * at).sum(-2) - p) / slope, -1.0, 1.0)
        return expit(intercept[..., None, :] + moved)

    def response(self, p: Array) -> Array:
        """P(response) among the design's patients at each dose, (..., doses)."""
        return (self.weights(self.here) * self.responses(p)).sum(-2)

    def log_hazards(self) -> Array:
        """Log hazard of progression of each pattern less that of the study's mix, (..., patterns, doses)."""
        average = (self.study * self.log_hazard[..., None]).sum(-2)
        return (self.log_hazard @ self.patterns.T)[..., None] - average[..., None, :]
