"""Monte Carlo virtual trials: Bayesian models of one published trial, and what the next one would conclude.

The map: each folder imports only from those above it (`docs/architecture.md`).

    _support/           messages of refusal, validation, paths, files written whole
    model/              what can be true of a patient: words, endpoints, dose-response, times, worlds, the posterior
    evidence/           priors/<study>/ -> what was published and assumed, checked
    boundaries/         a rule's mathematics: null, n -> critical counts, z
    trial/              ONE trial: patients -> observation -> analysis -> decisions (read `trial/run.py` first)
    scenario/           scenarios/*.toml -> a checked design, its sweep laid out in cells
    protocol/           design + study -> all that a simulation needs: plan, numbers, worlds
    engine/             many trials, in blocks
    characteristics/    outcomes, worlds -> operating characteristics; exact/ the same without simulation
    fitting/            evidence -> posterior: the only folder that imports PyMC
    workflows/          what a user does: run, solve, decide, replicate, one trial's log, data sets
    report/             result -> sentences, tables, charts, HTML
    cli/                the command line

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
    from vtrial._support.errors import InputError, OutputError
    from vtrial.boundaries.intervals import proportion_interval
    from vtrial.boundaries.one_sample import critical_counts, size_and_power
    from vtrial.evidence import Evidence
    from vtrial.evidence import load as load_evidence
    from vtrial.fitting.cache import fit
    from vtrial.model.posterior import FitError, Posterior
    from vtrial.report.tables.fitted import fitted_rates
    from vtrial.scenario import Scenario, load_scenario
    from vtrial.workflows.datasets.datasets import datasets as datasets_of
    from vtrial.workflows.monitor.decide import Verdict, decide
    from vtrial.workflows.replication.replicate import Replication, replicate
    from vtrial.workflows.result import Result
    from vtrial.workflows.run import run
    from vtrial.workflows.saved import SavedResult, load_result
    from vtrial.workflows.solve import Solution, solve

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
    "FitError": ("vtrial.model.posterior", "FitError"),
    "InputError": ("vtrial._support.errors", "InputError"),
    "OutputError": ("vtrial._support.errors", "OutputError"),
    "Posterior": ("vtrial.model.posterior", "Posterior"),
    "Result": ("vtrial.workflows.result", "Result"),
    "Scenario": ("vtrial.scenario", "Scenario"),
    "Verdict": ("vtrial.workflows.monitor.decide", "Verdict"),
    "decide": ("vtrial.workflows.monitor.decide", "decide"),
    "critical_counts": ("vtrial.boundaries.one_sample", "critical_counts"),
    "datasets_of": ("vtrial.workflows.datasets.datasets", "datasets"),
    "fit": ("vtrial.fitting.cache", "fit"),
    "Replication": ("vtrial.workflows.replication.replicate", "Replication"),
    "replicate": ("vtrial.workflows.replication.replicate", "replicate"),
    "fitted_rates": ("vtrial.report.tables.fitted", "fitted_rates"),
    "load_evidence": ("vtrial.evidence", "load"),
    "load_result": ("vtrial.workflows.saved", "load_result"),
    "SavedResult": ("vtrial.workflows.saved", "SavedResult"),
    "load_scenario": ("vtrial.scenario", "load_scenario"),
    "proportion_interval": ("vtrial.boundaries.intervals", "proportion_interval"),
    "run": ("vtrial.workflows.run", "run"),
    "Solution": ("vtrial.workflows.solve", "Solution"),
    "solve": ("vtrial.workflows.solve", "solve"),
    "size_and_power": ("vtrial.boundaries.one_sample", "size_and_power"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vtrial' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
