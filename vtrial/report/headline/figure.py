"""The chart that belongs to the answer of a report."""

from typing import TYPE_CHECKING, Any

from vtrial._support.text import listed
from vtrial.model.endpoints import TIME_WORDS as WORDS
from vtrial.report import looks
from vtrial.report.charts import histogram, over_cut, rates
from vtrial.report.charts.figures import Figure, drawn
from vtrial.report.headline.answer import precision

if TYPE_CHECKING:
    from vtrial.workflows.result_data import ResultData


def answer_figure(result: "ResultData") -> Figure:
    """The chart that belongs to the answer: a power curve, or the tested rates over the trials."""
    if not result.scenario.swept:
        whether = "the test rejects" if result.protocols[0].plan.graph else "the count alone rejects"
        waiting = any(test.after for test in result.protocols[0].tests)
        waits = " A test that waits for another then rejects only where that one did too." if waiting else ""
        return drawn(
            histogram.over_trials(result),
            name="over-trials",
            caption="The rates that the simulated trials observed, each with its null and critical rate. This is the "
            f"spread over trials, not Monte Carlo error. Colour says whether {whether}; where the number "
            "of patients varies, the critical rate is that of the most frequent one." + waits + _stopped(result),
            description="For each test a histogram of the observed rate over trials, null and critical rate marked.",
        )
    over = listed(result.scenario.swept)
    if known := precision(result):
        endpoint: Any = known[0].partition(".")[0]
        return drawn(
            over_cut.medians(result, endpoint),
            name="medians-over-sweep",
            caption=f"Left: the median {WORDS[endpoint]} that a trial observes and its 95% limits, median over trials "
            "(mark) and 95% of trials (line; an arrow where the upper end is not reached; no mark where the median "
            f"over trials is not), over {over}. Right: the share of trials in which each is not reached, with its "
            "95% Monte Carlo interval.",
            description=f"Median {WORDS[endpoint]} with limits, and share not reached, over {over}.",
        )
    if asked := looks.probabilities(result):
        return drawn(
            rates.over_sweep(result, asked, title="probability"),
            name="probabilities",
            caption=f"What tests show and looks stop for, over {over}: simulated with 95% Monte Carlo intervals "
            "(coloured), exact where an exact value exists (black crosses).",
            description=f"Probabilities of rejections and of stops over {over}.",
        )
    if not result.protocols[0].tests:
        return drawn(
            rates.rates(result),
            name="rates-over-sweep",
            caption=f"Mean rates over {over}, with 95% Monte Carlo intervals.",
            description=f"The mean rate of each endpoint over {over}.",
        )
    return drawn(
        rates.power(result),
        name="power",
        caption=f"Probability that each test rejects, over {over}: simulated with 95% Monte Carlo intervals "
        "(coloured), exact where an exact value exists (black crosses).",
        description=f"Rejection probability of each test over {over}.",
    )


def _stopped(result: "ResultData") -> str:
    if not result.protocols[0].plan.looks:
        return ""
    return " Trials that a look stopped stand with the rate of those infused by then, at full follow-up."
