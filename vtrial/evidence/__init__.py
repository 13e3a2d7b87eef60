"""priors/<study>/ -> Evidence: what was published, and what is assumed. The only reader of that folder.

`facts.csv` holds the published numbers, one row each (`facts`); `priors.toml` the prior distributions, the
reference dose and the correlations, each with its reason (`priors`). Both are checked here, against
themselves and each other, and trusted afterwards.
"""

import os

from vtrial._support import paths
from vtrial._support.errors import InputError
from vtrial.evidence import checks
from vtrial.evidence import facts as facts_file
from vtrial.evidence import priors as priors_file
from vtrial.evidence.priors import Priors, correlation_matrix
from vtrial.evidence.study import Evidence

__all__ = ["Evidence", "Priors", "correlation_matrix", "load"]


def load(study: str | os.PathLike[str] = "karmma", *, place: str = "") -> Evidence:
    """Read and check a study: a name, or a folder that holds facts.csv and priors.toml.

    place: where a scenario names it, said first where there is no such study. Raises `InputError` with file, line or
    key, and the reason, of everything that is wrong.
    """
    try:
        folder = paths.study_folder(study)
    except InputError as problem:
        raise InputError(f"{place}: {problem}" if place else str(problem)) from None
    facts = facts_file.read(folder / "facts.csv")
    priors = priors_file.read(folder / "priors.toml")
    evidence = Evidence(study=folder.name, folder=folder, facts=facts, priors=priors)
    checks.check(evidence)
    return evidence
