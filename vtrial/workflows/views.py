"""How a result shows itself: the one way up to `report`, which is imported when it is first asked for.

Each function hands on to the one of `report` that it names.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from vtrial.evidence import Evidence
    from vtrial.model.endpoints import TimeEndpoint
    from vtrial.report.charts.rates import Chart
    from vtrial.workflows.patients import AsSeen
    from vtrial.workflows.replication.data import ReplicationData
    from vtrial.workflows.result_data import ResultData


def answer(result: "ResultData") -> str:
    """The answer in one sentence."""
    from vtrial.report.headline.answer import sentence

    return sentence(result)


def notebook(result: "ResultData") -> str:
    """The answer as HTML, for a notebook."""
    from vtrial.report.notebook import notebook

    return notebook(result)


def page(result: "ResultData") -> str:
    """The report, one self-contained HTML file."""
    from vtrial.report.page import html

    return html(result)


def fit(result: "ResultData") -> "Chart":
    """Published against fitted rates by dose."""
    from vtrial.report.charts import rates

    return rates.fit(result)


def power(result: "ResultData") -> "Chart":
    """Rejection probabilities over what was swept."""
    from vtrial.report.charts import rates

    return rates.power(result)


def survival(curves: "pd.DataFrame", evidence: "Evidence", endpoint: "TimeEndpoint") -> "Chart":
    """Kaplan-Meier curves of an endpoint over the trials, beside the published median."""
    from vtrial.report.charts.survival import fan, published_median

    return fan(curves, published_median(evidence, endpoint), endpoint)


def states(shares: "pd.DataFrame") -> "Chart":
    """The share of patients in each state over time."""
    from vtrial.report.charts.survival import states

    return states(shares)


def patients(seen: "AsSeen") -> "Chart":
    """The patients of one trial, a bar each."""
    from vtrial.report.charts.swimmer import swimmer

    return swimmer(seen)


def trial_log(table: "pd.DataFrame", trial: int) -> "Chart":
    """What each look of one trial saw, against the bounds."""
    from vtrial.report.charts.trial_log import story

    return story(table, trial)


def page_of_replication(replication: "ReplicationData") -> str:
    """The report of a replication, one self-contained HTML file."""
    from vtrial.report.replicated import html

    return html(replication)


def forest(replication: "ReplicationData", system: str | None) -> "Chart":
    """Published dots on predictive bars."""
    from vtrial.report.replicated import forest

    return forest(replication, system)


def percentiles(replication: "ReplicationData") -> "Chart":
    """Percentiles of the published numbers among their replications."""
    from vtrial.report.replicated import percentiles

    return percentiles(replication)
