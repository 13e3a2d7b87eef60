"""Every endpoint: what it is called, what must be simulated to see it, and from which level on it is reached.

A final analysis estimates rates (`ENDPOINTS`) and times to an event (`TIME_ENDPOINTS`); a look also counts single
grades and what has happened by a landmark (`LOOK_ENDPOINTS`), with a window: `orr@3` is a response documented by 3
months.
Plain Python: a scenario is checked without any array library.
"""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from vtrial.model.dose_response import System
from vtrial.model.parameters import DAYS

# What a final analysis can estimate a rate of; what a look can count besides: single grades, and landmarks.
Endpoint = Literal["orr", "vgpr", "cr", "mrd", "crs", "crs3", "neurotoxicity", "neurotoxicity3"]
ENDPOINTS: tuple[Endpoint, ...] = get_args(Endpoint)
LookEndpoint = Literal[
    "orr",
    "vgpr",
    "cr",
    "mrd",
    "crs",
    "crs3",
    "crs4",
    "crs5",
    "neurotoxicity",
    "neurotoxicity3",
    "neurotoxicity4",
    "neurotoxicity5",
    "death",
    "pfs",
    "os",
]
LOOK_ENDPOINTS: tuple[LookEndpoint, ...] = get_args(LookEndpoint)

Ordered = Literal["response", "crs", "neurotoxicity"]  # the outcomes that have levels
ACUTE = 1.0  # months after which CRS and neurotoxicity are known: the customary window of a dose-limiting toxicity
LANDMARKS = ("death", "pfs", "os")


@dataclass(frozen=True)
class Level:
    """An endpoint as a level of an ordered outcome: reached from that level on. words: for readers.

    Of MRD negativity the level is that of a CR, which it asks for.
    """

    outcome: Ordered
    level: int
    words: str


# Every endpoint that is a level of an outcome, once; within an outcome each is a part of those before it.
LEVELS: dict[LookEndpoint, Level] = {
    "orr": Level("response", 1, "response (PR or better)"),
    "vgpr": Level("response", 2, "VGPR or better"),
    "cr": Level("response", 3, "CR or better"),
    "mrd": Level("response", 3, "CR with MRD negativity"),
    "crs": Level("crs", 1, "CRS of any grade"),
    "crs3": Level("crs", 2, "CRS of grade 3 or higher"),
    "crs4": Level("crs", 3, "CRS of grade 4 or higher"),
    "crs5": Level("crs", 4, "CRS of grade 5"),
    "neurotoxicity": Level("neurotoxicity", 1, "neurotoxicity of any grade"),
    "neurotoxicity3": Level("neurotoxicity", 2, "neurotoxicity of grade 3 or higher"),
    "neurotoxicity4": Level("neurotoxicity", 3, "neurotoxicity of grade 4 or higher"),
    "neurotoxicity5": Level("neurotoxicity", 4, "neurotoxicity of grade 5"),
}
WORDS: dict[Endpoint, str] = {endpoint: LEVELS[endpoint].words for endpoint in ENDPOINTS}
LOOK_WORDS: dict[str, str] = {name: level.words for name, level in LEVELS.items() if name not in ENDPOINTS} | {
    "death": "death",
    "pfs": "alive without documented progression",
    "os": "alive",
}
# Endpoints of one outcome, each a part of those before it.
NESTED: tuple[tuple[LookEndpoint, ...], ...] = tuple(
    tuple(name for name, level in LEVELS.items() if level.outcome == outcome) for outcome in get_args(Ordered)
)


def systems_of(endpoint: Endpoint) -> tuple[System, ...]:
    """The systems that must be simulated to see an endpoint."""
    return ("response", "mrd") if endpoint == "mrd" else (LEVELS[endpoint].outcome,)


def level_of(endpoint: Endpoint) -> tuple[System, int]:
    """The system that an endpoint is read off, and the level from which on it is reached."""
    return ("mrd", 1) if endpoint == "mrd" else (LEVELS[endpoint].outcome, LEVELS[endpoint].level)


# The rates that a scenario can state as true.
StatedRate = Literal["orr", "cr", "crs", "crs3", "neurotoxicity", "neurotoxicity3"]
RATES: tuple[StatedRate, ...] = get_args(StatedRate)

TimeEndpoint = Literal["dor", "pfs", "os"]
TIME_ENDPOINTS: tuple[TimeEndpoint, ...] = get_args(TimeEndpoint)

TIME_WORDS: dict[TimeEndpoint, str] = {
    "dor": "duration of response",
    "pfs": "progression-free survival",
    "os": "overall survival",
}

# "log-rank": one-sample, against an exponential curve. "median": the lower limit of the Kaplan-Meier median.
TimeMethod = Literal["log-rank", "median"]
TIME_METHODS: tuple[TimeMethod, ...] = get_args(TimeMethod)

# What a stated time is of: progression as visits document it, or as it happens.
Scale = Literal["documented", "latent"]


@dataclass(frozen=True)
class Watched:
    """An endpoint and its window in months; None: at full follow-up."""

    endpoint: LookEndpoint
    window: float | None = None

    @property
    def name(self) -> str:
        """As it is written: `orr@3`."""
        return self.endpoint if self.window is None else f"{self.endpoint}@{self.window:g}"

    @property
    def system(self) -> Ordered:
        """The ordered outcome that it is a level of; of landmarks, none ("response" by name alone)."""
        return LEVELS[self.endpoint].outcome if self.endpoint in LEVELS else "response"

    @property
    def level(self) -> int:
        """The level from which on it is reached: of best response, or of the worst grade. Landmarks have none."""
        return LEVELS[self.endpoint].level

    @property
    def toxic(self) -> bool:
        """Whether it is known within weeks."""
        return self.system != "response"

    @property
    def complete(self) -> float | None:
        """Months of follow-up after which it is known of a patient; None: full follow-up."""
        return (self.window or ACUTE) if self.toxic else self.window

    @property
    def days(self) -> int:
        """`complete` in whole days; 0 for full follow-up."""
        return 0 if self.complete is None else round(self.complete * DAYS)

    @property
    def systems(self) -> tuple[System, ...]:
        """What must be simulated to count it."""
        if self.toxic:
            return (self.system,)
        timed: tuple[System, ...] = ("survival",) if self.window is not None else ()
        return ("response", *(("mrd",) if self.endpoint == "mrd" else ()), *timed)


def watched(text: str) -> Watched:
    """Read `orr`, `orr@3`, `pfs@6`. Raises `ValueError` that says what is allowed."""
    found = re.fullmatch(r"([a-z0-9]+)(?:@([0-9]*\.?[0-9]+))?", text)
    if found is None or found[1] not in LOOK_ENDPOINTS:
        known = ", ".join(LOOK_ENDPOINTS)
        raise ValueError(f"there is no endpoint '{text}' (known: {known}, with a window in months as in orr@3)")
    window = None if found[2] is None else float(found[2])
    if window is not None and not 0 < window <= 600:
        raise ValueError(f"'{text}': a window is above 0 and at most 600 months")
    if window is None and found[1] in LANDMARKS:
        raise ValueError(f"'{text}' needs the month by which it is counted, such as {text}@6")
    result = Watched(found[1], window)  # type: ignore[arg-type]
    if result.toxic and window is not None and window < ACUTE:
        raise ValueError(f"'{text}': CRS and neurotoxicity are known from {ACUTE:g} month on")
    return result
