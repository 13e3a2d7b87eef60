"""The endpoints that are times to an event, and how they are tested."""

from typing import Literal, get_args

TimeEndpoint = Literal["dor", "pfs", "os"]
TIME_ENDPOINTS: tuple[TimeEndpoint, ...] = get_args(TimeEndpoint)

WORDS: dict[TimeEndpoint, str] = {
    "dor": "duration of response",
    "pfs": "progression-free survival",
    "os": "overall survival",
}

# "log-rank": one-sample, against an exponential curve. "median": the lower limit of the Kaplan-Meier median.
TimeMethod = Literal["log-rank", "median"]
TIME_METHODS: tuple[TimeMethod, ...] = get_args(TimeMethod)

# What a stated time is of: progression as visits document it, or as it happens.
Scale = Literal["documented", "latent"]
