"""The answer of a design with looks, or of one that names the metrics that answer it (`answer`), in one sentence."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np

from vtrial._support.text import capitalised, listed
from vtrial.characteristics import stopping as looks
from vtrial.characteristics.metrics import OF_CURVES
from vtrial.characteristics.metrics_of_looks import headlines, stops_in_words
from vtrial.model.endpoints import WORDS, Endpoint
from vtrial.report.words.general import claim_of, error_in_words, estimate, metric_in_words, point
from vtrial.report.words.worlds import world_in_words

if TYPE_CHECKING:
    from vtrial.model.vocabulary import Then
    from vtrial.workflows.result_data import ResultData

MOST_CELLS = 4  # each of which the sentence tells of; of more, the first and the last
_CLAUSES = {
    "n.infused": "{} patients are infused on average",
    "n.enrolled": "{} patients are enrolled on average",
    "n.evaluated": "{} patients are in the analysis that ends the trial on average",
    "n.not_infused": "{} patients are enrolled and not infused by its end on average",
    "n.not_evaluated": "{} patients are infused and not in the analysis that ends it on average",
    "duration": "the trial takes {} months on average",
    "success": "the trial is a success with probability {}",
}


def asked(result: "ResultData") -> list[str]:
    """The metrics that answer the question: those that the scenario names; else rejections, stops and patients."""
    design, protocol = result.scenario.design, result.protocols[0]
    if design.answer:
        return list(design.answer)
    tests = [f"{test.name}.reject" for test in protocol.tests]
    also = ["success"] if success_differs(result) else []
    if not protocol.plan.looks:
        return [*tests, *also] if also else []
    stops = [metric for metric in headlines(protocol) if metric.startswith("stop.") and metric.count(".") == 1]
    return [*tests, *also, *stops, "n.evaluated"]


def success_differs(result: "ResultData") -> bool:
    """Whether success is something else than that one test is shown, in some trial or by the exact probabilities."""
    protocol, table = result.protocols[0], result.characteristics
    if not looks.has_success(protocol):
        return False
    figures: Any = table[table["metric"] == "success"].set_index(["cell", "method"])["estimate"]
    for test in protocol.tests:
        same: Any = table[table["metric"] == f"{test.name}.reject"].set_index(["cell", "method"])["estimate"]
        if same.index.equals(figures.index) and np.allclose(same, figures, rtol=0.0, atol=1e-12):
            return False
    return True


def sentence(result: "ResultData") -> str:
    """The answer: each metric of `asked` in each cell of a small sweep, else in the first and the last."""
    cells, metrics = result.scenario.cells, asked(result)
    trials = _trials(result.scenario.design.simulation.trials)
    error = "± is one Monte Carlo standard error"
    if len(cells) == 1:
        said = _joined(clause(result, metric, figure(result, metric, 0)) for metric in metrics)
        return capitalised(f"{said}, {where_in_words(result, 0)} ({trials}; {error}).")
    shown = list(range(len(cells))) if len(cells) <= MOST_CELLS else [0, len(cells) - 1]
    first = _joined(clause(result, metric, figure(result, metric, 0)) for metric in metrics)
    parts = [f"{where_in_words(result, 0)}, {first}"]
    for cell in shown[1:]:
        figures = [figure(result, metric, cell, short=True) for metric in metrics]
        parts.append(
            f"{where_in_words(result, cell)}, {'it is' if len(figures) == 1 else 'these are'} {listed(figures)}"
        )
    between = "; " if len(shown) == len(cells) else "; ...; "
    swept = any(key.startswith("world.") for key in result.scenario.swept)
    rest = "" if swept else f", {world_in_words(result.protocols)}"
    return capitalised(f"{between.join(parts)}{rest} ({trials} a cell; {error}).")


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count:,} trials"


def _joined(parts: Any) -> str:
    *most, last = parts
    return f"{', '.join(most)}, and {last}" if most else last


def clause(result: "ResultData", metric: str, value: str) -> str:
    """A metric's value as a part of a sentence: "the trial stops for futility with probability 0.7"."""
    protocol = result.protocols[0]
    name, _, rest = metric.partition(".")
    if metric in _CLAUSES:
        return _CLAUSES[metric].format(value)
    if rest == "reject" and name in {test.name for test in protocol.tests}:
        chain = [name]
        while before := next(test.after for test in protocol.tests if test.name == chain[0]):
            chain.insert(0, before)
        verb = "is" if len(chain) == 1 else "are"
        return f"{' and then '.join(claim_of(result, one) for one in chain)} {verb} shown with probability {value}"
    if name == "stop":
        where, _, then = rest.rpartition(".")
        at = f" at '{where}'" if where else ""
        return f"the trial {stops_in_words(protocol, cast('Then', then), where)}{at} with probability {value}"
    heading, words = metric_in_words(result, metric)
    if name in protocol.plan.endpoints and result.metrics[metric].unit == "rate":
        words = f"rate of {WORDS[cast(Endpoint, name)]} ({words})"
    elif name in OF_CURVES:
        words = f"{heading.removesuffix(', months').lower()} ({words})"
    return f"{words}: {value}"


def figure(result: "ResultData", metric: str, cell: int, *, short: bool = False) -> str:
    """An estimate with its Monte Carlo error, and the exact value where there is one. short: with what it counts."""
    table: Any = result.characteristics[result.characteristics["cell"] == cell]
    rows: Any = table[table["metric"] == metric].set_index("method")
    if rows.empty:
        return "not known (not in these trials, or not exactly)"
    method = "simulated" if "simulated" in rows.index else "exact"
    row = rows.loc[method]
    unit = result.metrics[metric].unit
    unit = unit if unit in ("patients", "months") else None
    digits = 4 if unit is None else 2
    known, error = "", error_in_words(row, digits)
    if method == "exact":
        known, error = ("exact", "") if row["mcse"] == 0.0 else (", exact but for the number of draws", error)
    elif "exact" in rows.index:
        known = f", exact {float(rows.at['exact', 'estimate']):.{digits}f}"
    value = estimate(float(row["estimate"]), digits)
    return f"{value} ({error}{known}){f' {unit}' if short and unit else ''}"


def where_in_words(result: "ResultData", cell: int) -> str:
    """The worlds, and whatever else is swept, of a cell: "where the true rate of response (PR or better) is 50%"."""
    one = result.scenario.cells[cell]
    if not one.swept:
        return world_in_words([result.protocols[cell]])
    truths = [key for key in one.swept if f"{key}.".startswith("world.truth.")]
    others = {key: value for key, value in one.swept.items() if key not in truths}
    parts = [world_in_words([result.protocols[cell]])] if truths else []
    return ", ".join([*parts, *([f"at {point(others)}"] if others else [])])
