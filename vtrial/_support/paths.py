"""Where a study, a scenario and the cache lie.

A name is looked up in three places, in this order: as a path that was given, in the working folder
(``priors/<study>/``, ``scenarios/<name>.toml``), and among what is shipped with vtrial.
"""

import os
from pathlib import Path

import platformdirs

from vtrial._support.errors import InputError, nearest

_PACKAGE = Path(__file__).resolve().parents[1]


def _shelves(room: str) -> list[Path]:
    """The folders in which `room` (``priors`` or ``scenarios``) may stand: working folder, wheel, checkout."""
    return [Path.cwd() / room, _PACKAGE / "shipped" / room, _PACKAGE.parent / room]


def studies() -> list[str]:
    """Names of the studies that can be found without a path, sorted."""
    return sorted({p.parent.name for shelf in _shelves("priors") for p in shelf.glob("*/facts.csv")})


def scenarios() -> list[str]:
    """Names of the scenarios that can be found without a path, sorted."""
    return sorted({p.stem for shelf in _shelves("scenarios") for p in shelf.glob("*.toml")})


def study_folder(study: str | os.PathLike[str]) -> Path:
    """The folder of a study: a path to a folder that holds facts.csv, or the name of a known study.

    Raises `InputError` where there is none.
    """
    given = Path(study)
    if os.path.isfile(given / "facts.csv"):
        return given.resolve()
    if len(given.parts) == 1:
        for shelf in _shelves("priors"):
            if os.path.isfile(shelf / given / "facts.csv"):
                return (shelf / given).resolve()
    raise InputError(_unknown("study", str(study), studies(), "a folder that holds facts.csv and priors.toml"))


def scenario_file(scenario: str | os.PathLike[str]) -> Path:
    """The file of a scenario: a path to a TOML file, or the name of a known scenario.

    Raises `InputError` where there is none.
    """
    given = Path(scenario)
    if os.path.isfile(given):
        return given
    if len(given.parts) == 1:
        for shelf in _shelves("scenarios"):
            found = shelf / f"{given.name.removesuffix('.toml')}.toml"
            if os.path.isfile(found):
                return found
    hint = f"; that is a folder: give {given / 'scenario.toml'}" if os.path.isfile(given / "scenario.toml") else ""
    raise InputError(_unknown("scenario", str(scenario), scenarios(), "a TOML file", hint))


def cache_folder() -> Path:
    """Where posteriors and compiled programs are kept: ``$VTRIAL_CACHE``, or the user's cache folder."""
    given = os.environ.get("VTRIAL_CACHE")
    return Path(given).expanduser() if given else Path(platformdirs.user_cache_dir("vtrial", appauthor=False))


def _unknown(what: str, given: str, known: list[str], or_path: str, hint: str = "") -> str:
    hint = hint or nearest(given, known)
    return f"there is no {what} '{given}'{hint} (known: {', '.join(known) or 'none'}; or give {or_path})"
