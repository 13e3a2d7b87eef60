"""The posterior of a study: found in the cache, or fitted and kept there."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version

from vtrial._support import folders, paths
from vtrial._support.errors import InputError, OutputError
from vtrial.evidence import Evidence
from vtrial.evidence import load as load_evidence
from vtrial.model.posterior import FitError, Posterior, Settings, load, save

FIT_VERSION = 1  # raise it with any change of models or simulator that moves a posterior, whatever the change
PROVENANCE = ("vtrial", "pymc", "nutpie", "jax", "numpy")  # versions kept with a posterior; no part of its key
FITTING = "fitting the models (about a minute and a half, once)"  # as long work is announced


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
    folder = paths.cache_folder() / "posteriors" / f"{evidence.study}-{key[:16]}"
    found = load(folder)
    if found is not None and found.key == key:
        return found
    folders.check_writable(folder, remedy="set VTRIAL_CACHE to a folder that can be written")
    if progress_of_fit is not None:
        progress_of_fit(FITTING, 0, 1)
    from vtrial.fitting.sample import sample

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
    from vtrial.fitting.inputs import used

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
