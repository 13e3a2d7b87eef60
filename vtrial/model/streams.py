"""Every random stream of vtrial, by name: of a trial's patients (device), and of the host.

Two processes that draw from one stream are correlated perfectly, and nothing shows it. So a stream is a member of one
of the two enums here, both append only, and each member is drawn from in one place (tests/model/test_streams.py).
"""

from enum import IntEnum, unique

import numpy as np


@unique
class Process(IntEnum):
    """What is drawn for a patient or a trial, each from its own key. Append only: a number is a stream."""

    INFUSED = 0
    DOSE = 1
    RESPONSE = 2
    CRS = 3
    NEUROTOXICITY = 4
    MRD_EVALUABLE = 5
    MRD_NEGATIVE = 6
    BETWEEN_TRIAL = 7
    RESPONSE_TIME = 8
    CR_TIME = 9
    PROGRESSION = 10
    DEATH = 11
    DEATH_AFTER = 12
    CRS_DEATH = 13
    NEW_THERAPY = 14
    RETREATED = 15
    RETREATMENT_RESPONSE = 16
    RETREATMENT_TIME = 17
    VISITS = 18
    ARRIVAL = 19
    DELAY = 20
    BETWEEN_TRIAL_SURVIVAL = 21
    FLAGS = 22
    MEASURES = 23
    BETWEEN_TRIAL_FLAGS = 24
    DELIVERED = 25
    EXPANSION = 26


@unique
class HostStream(IntEnum):
    """What is drawn on the host, beside all trials. Append only: a number is a stream."""

    WORLD_ORDER = 0  # the order in which trials live in the worlds
    EXPANSION = 1  # effects on the expansion of CAR T cells, by world
    CASE_MIX = 2  # effects of the covariates of a shifted mix of patients, by world
    PRIOR = 3  # draws of the prior, beside a posterior
    STARTS = 4  # rates at which a likelihood is tried before it is sampled


def host_rng(seed: int, stream: HostStream) -> np.random.Generator:
    """Return the generator of one host stream.

    Seed and stream are two words of 32 bits of one `numpy.random.SeedSequence`, so no two pairs give the same numbers.
    seed: 0 to 2**32 - 1. Raises `ValueError` for another.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"the seed is {seed}; it must be from 0 to 2**32 - 1")
    return np.random.default_rng([int(seed), int(stream)])
