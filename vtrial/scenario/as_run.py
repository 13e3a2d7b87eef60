"""A study as it was run, as a scenario: its doses, its patients in order of arrival, its calendar."""

from vtrial.evidence import Evidence
from vtrial.evidence.times import months_between
from vtrial.scenario import Scenario, from_dict


def as_run(evidence: Evidence) -> Scenario:
    """The scenario: exactly the published numbers infused at each dose, enrolled evenly, cut where the study was.

    Where the study has no facts on times, neither has the scenario.
    """
    calendar = {}
    if "survival" in evidence.systems:
        cut = {"month": months_between(evidence, "data_cutoff")}
        calendar = {"calendar": {"accrual": "even", "data_cut": cut}}
    return from_dict(
        {
            "title": f"{evidence.study} as run",
            "world": {"study": str(evidence.folder)},
            "arm": [
                {
                    "doses": {f"{dose:.15g}": n for dose, n in zip(evidence.doses, evidence.infused, strict=True)},
                    "allocation": "fixed",
                }
            ],
            "cohort": {"enrolled": evidence.enrolled},
            **calendar,
        },
        name=evidence.study,
        where=f"{evidence.study} as run",
    )
