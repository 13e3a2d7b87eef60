"""The posterior: named draws, on disk as netCDF in ArviZ's layout, in memory as arrays. How it comes about: `fitting`.

A kept posterior is a folder with ``posterior.nc`` and, written after it, ``posterior.nc.sha256``. netCDF
opens silently with damaged data, so a file whose hash is absent or differs counts as not there.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import xarray as xr

from vtrial._support import folders
from vtrial.model.dose_response import Step
from vtrial.model.parameters import Rate

ENGINE = "h5netcdf"
FILE = "posterior.nc"
DESCRIBED = "described["  # begins the names of parameters of flags and measures in the diagnostics


class FitError(RuntimeError):
    """A fit that did not converge and is refused; the message says what was seen and what is allowed.

    parameters: those that it was refused for, where it was for some of them.
    """

    parameters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settings:
    """How a fit is sampled. The seed is part of the settings, so a fit can be repeated.

    draws, tune: a chain. simulated: trials against which the fit of times is corrected.
    """

    draws: int = 1500
    tune: int = 500
    chains: int = 4
    seed: int = 2021
    target_accept: float = 0.9
    simulated: int = 2000


@dataclass(frozen=True)
class Posterior:
    """A fitted study.

    study: its name. tree: ArviZ's layout, groups `posterior` and `prior` (variables `intercept` and `slope`,
    logits), `sample_stats`, `constant_data` and `diagnostics` (a row a parameter). key: hash of what the fit
    depends on. sha256: of the file.
    """

    study: str
    tree: xr.DataTree
    key: str
    sha256: str

    @cached_property
    def intercept(self) -> np.ndarray:
        """Logit of each step at the reference dose, float64 (draws, steps); NaN where the study says nothing."""
        return self._by_step("intercept", "step", np.nan)

    @cached_property
    def slope(self) -> np.ndarray:
        """Change of each logit for a doubling of the dose, float64 (draws, steps); 0 where there is none."""
        return self._by_step("slope", "dosed_step", 0.0)

    @cached_property
    def survival(self) -> np.ndarray | None:
        """The numbers of the multi-state model, float64 (draws, rates); None where the study says nothing of times."""
        if "survival" not in self.tree["posterior"]:
            return None
        drawn = self.tree["posterior"]["survival"].transpose("chain", "draw", "rate")
        return drawn.sel(rate=[rate.name.lower() for rate in Rate]).values.reshape(-1, len(Rate))

    @cached_property
    def flags(self) -> np.ndarray | None:
        """Logits of the drawn flags, float32 (draws, flags, columns): at each dose of the study, then any other."""
        return self._described("flag", "flag_name", "column")

    @cached_property
    def measures(self) -> np.ndarray | None:
        """Location and log spread of each measure, float32 (draws, measures, columns + 1): the spread comes last."""
        location = self._described("location", "measure", "column")
        spread = self._described("log_spread", "measure")
        return None if location is None or spread is None else np.concatenate([location, spread[..., None]], axis=-1)

    def _described(self, variable: str, *dims: str) -> np.ndarray | None:
        if "described" not in self.tree.children:
            return None
        drawn = self.tree["described"][variable].transpose("chain", "draw", *dims).values
        if not drawn.size:  # a study with flags and no measures, or the reverse
            return None
        return drawn.reshape(-1, *drawn.shape[2:])

    @property
    def draws(self) -> int:
        """Number of draws, all chains together."""
        return self.intercept.shape[0]

    @property
    def ess(self) -> float:
        """The smallest effective sample size of the mean of a step or a rate.

        The draws' own error is SD / sqrt(ess).
        """
        table = self.tree["diagnostics"].to_dataset()
        core = [not str(name).startswith(DESCRIBED) for name in table["parameter"].values]
        return float(table["ess_mean"].values[core].min())

    @property
    def unfitted(self) -> dict[str, str]:
        """What of the study could not be fitted and is not in here (a system, or "described"), and why."""
        return json.loads(self.tree.attrs.get("unfitted", "{}"))

    @property
    def fit_version(self) -> int:
        """The version of models and simulator with which it was fitted."""
        return int(self.tree.attrs.get("fit_version", 0))

    @property
    def versions(self) -> dict[str, str]:
        """The versions of vtrial and of libraries with which it was fitted."""
        return json.loads(self.tree.attrs.get("versions", "{}"))

    @property
    def discount(self) -> float:
        """The power prior's weight of the evidence, 0 to 1."""
        return float(self.tree.attrs["discount"])

    def _by_step(self, variable: str, dim: str, absent: float) -> np.ndarray:
        drawn = self.tree["posterior"][variable].transpose("chain", "draw", dim)
        values = np.full((drawn.sizes["chain"] * drawn.sizes["draw"], len(Step)), absent)
        for label in drawn[dim].values:
            values[:, Step[str(label).upper()]] = drawn.sel({dim: label}).values.reshape(-1)
        return values


def save(tree: xr.DataTree, folder: Path) -> None:
    """Write `tree` whole or not at all; the hash is written last."""
    folder.mkdir(parents=True, exist_ok=True)
    with folders.in_turn(folder) as staged:
        tree.to_netcdf(staged / FILE, engine=ENGINE)
        sha256 = hashlib.sha256((staged / FILE).read_bytes()).hexdigest()
        _mark(staged).write_text(f"{sha256}  {FILE}\n", encoding="ascii")
        _mark(folder).unlink(missing_ok=True)
        os.replace(staged / FILE, folder / FILE)
        os.replace(_mark(staged), _mark(folder))


def load(folder: Path) -> Posterior | None:
    """The posterior that lies in `folder`, or None where it is absent, unfinished, damaged or does not say its key."""
    try:
        expected = _mark(folder).read_text(encoding="ascii").split()[0]
        data = (folder / FILE).read_bytes()
    except (OSError, IndexError, UnicodeDecodeError):
        return None
    if hashlib.sha256(data).hexdigest() != expected:
        return None
    tree = xr.load_datatree(folder / FILE, engine=ENGINE)
    if not {"study", "key"} <= set(tree.attrs):
        return None
    return Posterior(study=str(tree.attrs["study"]), tree=tree, key=str(tree.attrs["key"]), sha256=expected)


def _mark(folder: Path) -> Path:
    return folder / f"{FILE}.sha256"
