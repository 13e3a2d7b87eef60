"""The draws: found in the cache or fitted; on disk as netCDF in ArviZ's layout, in memory as named arrays.

A cached posterior is a folder with ``posterior.nc`` and, written after it, ``posterior.nc.sha256``. netCDF
opens silently with damaged data, so a file whose hash is absent or differs counts as not there.
"""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

import numpy as np
import xarray as xr

from vtrial import folders, places
from vtrial.curves import Rate, Step
from vtrial.errors import InputError, OutputError
from vtrial.evidence import Evidence
from vtrial.evidence import load as load_evidence

ENGINE = "h5netcdf"
FILE = "posterior.nc"
FIT_VERSION = 1  # raise it with any change of models or simulator that moves a posterior, whatever the change
PROVENANCE = ("vtrial", "pymc", "nutpie", "jax", "numpy")  # versions kept with a posterior; no part of its key
DESCRIBED = "described["  # begins the names of parameters of flags and measures in the diagnostics


FITTING = "fitting the models (about a minute and a half, once)"  # as long work is announced


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


def posterior_of(
    evidence: Evidence,
    *,
    discount: float = 1.0,
    settings: Settings | None = None,
    progress: bool = False,
    progress_of_fit: Callable[[str, int, int], None] | None = None,
) -> Posterior:
    """The posterior of a study: from the cache where it lies there whole and fits, else sampled and cached.

    progress_of_fit: called with (what, done, all), only where it must be sampled.

    PyMC is imported only in the second case. Raises `FitError` where the fit does not converge (nothing is
    cached then), `InputError` where `discount` is not in 0..1 or, before anything is sampled, the cache cannot be
    written, `OutputError` where that fails afterwards.
    """
    if not 0.0 <= discount <= 1.0:
        raise InputError(f"discount is {discount}; a number from 0 (forget the evidence) to 1 (take it whole)")
    settings = settings or Settings()
    key = key_of(evidence, discount, settings)
    folder = places.cache_folder() / "posteriors" / f"{evidence.study}-{key[:16]}"
    found = load(folder)
    if found is not None and found.key == key:
        return found
    folders.check_writable(folder, remedy="set VTRIAL_CACHE to a folder that can be written")
    if progress_of_fit is not None:
        progress_of_fit(FITTING, 0, 1)
    from vtrial.models.fit import sample

    tree = sample(evidence, discount=discount, settings=settings, progress=progress)
    tree.attrs.update(
        study=evidence.study,
        key=key,
        discount=float(discount),
        settings=json.dumps(asdict(settings)),
        fit_version=FIT_VERSION,
        versions=json.dumps({name: version(name) for name in PROVENANCE}),
    )
    try:
        save(tree, folder)
    except (OSError, RuntimeError) as problem:  # HDF5 has its own words for a full disk
        reason = getattr(problem, "strerror", None) or problem
        raise OutputError(f"the posterior cannot be kept in {folder}: {reason}; set VTRIAL_CACHE") from None
    found = load(folder)
    if found is None:
        raise FitError(f"the posterior was written to {folder}, but does not read back whole")
    return found


def fit(
    study: str | os.PathLike[str] | Evidence = "karmma", *, discount: float = 1.0, progress: bool = False
) -> Posterior:
    """Fit a study (a name, a folder or loaded evidence), or find its fit in the cache.

    discount: the power prior's weight of the evidence, 0 to 1. Raises `InputError` and `FitError`.
    """
    evidence = study if isinstance(study, Evidence) else load_evidence(study)
    return posterior_of(evidence, discount=discount, progress=progress)


def key_of(evidence: Evidence, discount: float, settings: Settings) -> str:
    """Hash of what a fit depends on: `FIT_VERSION`, the study's facts and priors, discount and settings.

    Not of the code nor of library versions: a posterior made elsewhere, of the same inputs, is the same posterior.
    """
    from vtrial.models.inputs import used

    depends_on: dict[str, object] = {
        "fit_version": FIT_VERSION,
        "evidence": evidence.sha256,
        "settings": asdict(settings),
        "discount": float(discount),
    }
    if evidence.left_out:
        depends_on["left_out"] = sorted(evidence.left_out)
    if wanted := used(evidence).wanted:  # else nothing changes by holding it back
        depends_on["held_back"] = sorted(wanted)
    return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()


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
