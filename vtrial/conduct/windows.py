"""Endpoints that a look can count, with a window: `orr@3` is a response documented by 3 months."""

import re
from dataclasses import dataclass
from typing import Literal, get_args

from vtrial.curves import DAYS, System

# Beside the endpoints of a final analysis: single grades of toxicity, and what has happened by a landmark.
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
ACUTE = 1.0  # months after which CRS and neurotoxicity are known: the customary window of a dose-limiting toxicity
LANDMARKS = ("death", "pfs", "os")

WORDS: dict[str, str] = {
    "crs4": "CRS of grade 4 or higher",
    "crs5": "CRS of grade 5",
    "neurotoxicity4": "neurotoxicity of grade 4 or higher",
    "neurotoxicity5": "neurotoxicity of grade 5",
    "death": "death",
    "pfs": "alive without documented progression",
    "os": "alive",
}

_RESPONSES = {"orr": 1, "vgpr": 2, "cr": 3, "mrd": 3}  # levels of best response
_GRADES = {"": 1, "3": 2, "4": 3, "5": 4}  # levels of the worst grade


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
    def system(self) -> Literal["response", "crs", "neurotoxicity"]:
        """The ordered outcome that it is a level of; of landmarks, none ("response" by name alone)."""
        if self.endpoint.startswith("crs"):
            return "crs"
        return "neurotoxicity" if self.endpoint.startswith("neurotoxicity") else "response"

    @property
    def level(self) -> int:
        """The level from which on it is reached: of best response, or of the worst grade."""
        return _RESPONSES[self.endpoint] if self.system == "response" else _GRADES[self.endpoint[len(self.system) :]]

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
