"""Monte Carlo virtual trials: Bayesian models of one published trial, and what the next one would conclude.

The map, in the order in which data flows:

    priors/<study>/ -> evidence -> models -> posterior -> truth, world -> protocol
        -> trial (cohort -> conduct -> estimate -> decisions) -> engine, exact -> characteristics -> result -> report
    files: outputs (the parts), folders (whole, or as they were), saved (a result read back)
    looks: rules, sequential -> protocol; interim -> the trial; look_characteristics, after_stopping, story
    shared by all: model (words that several rooms write)
    beside it: design (bounds), calculators, solving, actual (real numbers against a design)
    model: what several of them share (random streams by name)
    and from the engine: replication (the paper's own numbers against replications), datasets (one trial, as ADaM)

Words: *enrolled* patients had leukapheresis, *infused* ones received the dose. A *world* is one set of true
rates: a posterior draw, or a stated truth. *Power* and *type I error* are rejection probabilities in one world,
*assurance* is their average over the worlds of a posterior. A *cell* is one point of a sweep. A *flag* is a yes or no
of a patient, a *measure* a number, beside response, toxicity and times: priors.toml of a study describes them. A *look*
is a data cut before the end, a *rule* what may stop the trial there, a *window* the months by which an endpoint must be
documented to count (`orr@3`).

Public names are imported when first used; PyMC only when something must be fitted.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vtrial.actual import Verdict, decide
    from vtrial.datasets import datasets as datasets_of
    from vtrial.design.intervals import proportion_interval
    from vtrial.design.one_sample import critical_counts, size_and_power
    from vtrial.errors import InputError, OutputError
    from vtrial.evidence import Evidence
    from vtrial.evidence import load as load_evidence
    from vtrial.posterior import FitError, Posterior, fit
    from vtrial.replication import Replication, replicate
    from vtrial.report.fitted import fitted_rates
    from vtrial.result import Result, run
    from vtrial.saved import SavedResult, load_result
    from vtrial.scenario import Scenario, load_scenario
    from vtrial.solving import Solution, solve

__version__ = "0.1.0"

__all__ = [
    "Evidence",
    "FitError",
    "InputError",
    "OutputError",
    "Posterior",
    "Replication",
    "Result",
    "SavedResult",
    "Scenario",
    "Solution",
    "Verdict",
    "critical_counts",
    "datasets_of",
    "decide",
    "fit",
    "fitted_rates",
    "load_evidence",
    "load_result",
    "load_scenario",
    "proportion_interval",
    "replicate",
    "run",
    "size_and_power",
    "solve",
]

_HOME = {
    "Evidence": ("vtrial.evidence", "Evidence"),
    "FitError": ("vtrial.posterior", "FitError"),
    "InputError": ("vtrial.errors", "InputError"),
    "OutputError": ("vtrial.errors", "OutputError"),
    "Posterior": ("vtrial.posterior", "Posterior"),
    "Result": ("vtrial.result", "Result"),
    "Scenario": ("vtrial.scenario", "Scenario"),
    "Verdict": ("vtrial.actual", "Verdict"),
    "decide": ("vtrial.actual", "decide"),
    "critical_counts": ("vtrial.design.one_sample", "critical_counts"),
    "datasets_of": ("vtrial.datasets", "datasets"),
    "fit": ("vtrial.posterior", "fit"),
    "Replication": ("vtrial.replication", "Replication"),
    "replicate": ("vtrial.replication", "replicate"),
    "fitted_rates": ("vtrial.report.fitted", "fitted_rates"),
    "load_evidence": ("vtrial.evidence", "load"),
    "load_result": ("vtrial.saved", "load_result"),
    "SavedResult": ("vtrial.saved", "SavedResult"),
    "load_scenario": ("vtrial.scenario", "load_scenario"),
    "proportion_interval": ("vtrial.design.intervals", "proportion_interval"),
    "run": ("vtrial.result", "run"),
    "Solution": ("vtrial.solving", "Solution"),
    "solve": ("vtrial.solving", "solve"),
    "size_and_power": ("vtrial.design.one_sample", "size_and_power"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vtrial' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
