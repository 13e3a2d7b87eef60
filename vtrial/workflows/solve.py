"""The smallest number with which a design reaches a target: exactly where possible, else by common random numbers."""

import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from vtrial._support.errors import InputError, nearest
from vtrial._support.validation import first_problem
from vtrial.characteristics import plausibility
from vtrial.characteristics.metrics import known
from vtrial.characteristics.table import exact_rows
from vtrial.model.vocabulary import in_figures
from vtrial.protocol.build import Protocol
from vtrial.scenario import Scenario, as_scenario, from_dict
from vtrial.scenario.solve import SolveSection
from vtrial.scenario.sweep import shown
from vtrial.workflows.cells import prepared
from vtrial.workflows.run import run

Progress = Callable[[str, int, int], None]

_COARSE = 12  # values of a first pass where each must be simulated


@dataclass(frozen=True)
class Solution:
    """What was found, None where no value reaches the target.

    value: the smallest that does. lasting: the smallest from which every larger one does, too (power of exact designs
    rises in a saw-tooth). low, high: where each is simulated, the smallest that may reach it and the smallest that
    surely does, by the 95% Monte Carlo interval. table: a row a value: estimate, mcse, low, high, method, and the same
    of the limit (`limit`, `limit_mcse` ...); reached: whether both hold. warnings: what should be known of the design
    at `value`, or at the last value tried, as `vtrial.Result.warnings`.
    """

    asked: SolveSection
    value: Any
    lasting: Any
    low: Any
    high: Any
    table: pd.DataFrame
    sentence: str
    warnings: tuple[str, ...] = ()


def solve(
    scenario: Scenario | str | os.PathLike[str] | dict[str, Any],
    *,
    cell: int = 0,
    progress: Progress | None = None,
    **asked: Any,
) -> Solution:
    """Find the smallest value of a key with which a metric reaches its target.

    asked: the keys of [solve] (`from_` for from), in place of those of the scenario's own section. cell: of the
    scenario's sweep, whose design and truth are meant.

    Exact where the metric is (count designs); else each value is simulated on the same patients, all sample sizes at
    once where the first n patients of a trial are the trial of n, other keys on a coarse grid and then between.

    Raises `InputError` where nothing is asked, a value cannot be run, or the metric is not there.
    """
    scenario = as_scenario(scenario)
    swept, section = scenario.cell(cell).swept, _asked(scenario, asked)
    search = _Search(scenario, section, swept, progress)
    table = search.all(section.tried)
    reached = [value for value, good in zip(table["value"], table["reached"], strict=True) if good]
    failed = np.flatnonzero(~table["reached"].to_numpy())
    after = int(failed[-1]) + 1 if failed.size else 0
    lasting = table["value"].iloc[after] if after < len(table) else None
    value = reached[0] if reached else None
    simulated = bool((table["method"] == "simulated").any())
    low = high = None
    if simulated:
        maybe, surely = table["value"][table["may"]], table["value"][table["surely"]]
        low, high = (rows.iloc[0] if len(rows) else None for rows in (maybe, surely))
    words = _sentence(section, table, value, lasting, low, high)
    known_besides = search.warnings(section.tried[-1] if value is None else value)
    return Solution(section, value, lasting, low, high, table, words, known_besides)


def _asked(scenario: Scenario, asked: dict[str, Any]) -> SolveSection:
    """The section, with what is asked in its place."""
    raw = dict(scenario.raw.get("solve", {}))
    given = {("from" if key == "from_" else key): value for key, value in asked.items() if value is not None}
    if not raw and not given:
        raise InputError(
            f"{scenario.where}: nothing to solve; give [solve] key, from, to, metric and at_least in the scenario, "
            "or as options"
        )
    for one, others in (("at_least", ["at_most"]), ("at_most", ["at_least"]), ("values", ["from", "to", "by"])):
        if one in given:
            for other in others:
                raw.pop(other, None)
    if {"from", "to"} & set(given):
        raw.pop("values", None)
    data = raw | given
    try:
        return SolveSection.model_validate(data)
    except ValidationError as error:
        raise InputError(f"{scenario.where}: [solve] {first_problem(error, SolveSection, data)}") from None


class _Search:
    """Values of the key, each judged once."""

    def __init__(
        self, scenario: Scenario, section: SolveSection, swept: dict[str, Any], progress: Progress | None
    ) -> None:
        self.scenario, self.section, self.swept, self.progress = scenario, section, swept, progress

    def all(self, tried: list[Any]) -> pd.DataFrame:
        """A row a value, in order: all of them where they are cheap, else those about the crossing."""
        exact = self._exactly(tried)
        if exact is not None:
            return exact
        if self.section.key in ("cohort.infused", "cohort.enrolled") or len(tried) <= _COARSE:
            return self._simulated(tried)
        coarse = sorted({int(k) for k in np.linspace(0, len(tried) - 1, _COARSE)})
        table = self._simulated([tried[k] for k in coarse])
        good = table["reached"].to_numpy()
        for left, right in itertools.pairwise(coarse):
            before, after = coarse.index(left), coarse.index(right)
            if good[before] != good[after] and right - left > 1:
                between = self._simulated(tried[left + 1 : right])
                table = pd.concat([table, between])
        order = {repr(value): k for k, value in enumerate(tried)}
        places = np.argsort([order[repr(value)] for value in table["value"]])
        return table.iloc[places].reset_index(drop=True)

    def warnings(self, value: Any) -> tuple[str, ...]:
        """What should be known of the design at a value."""
        cells = self._cells([value])
        return plausibility.warnings(prepared(cells, self.progress)[2], cells.cells)

    def _cells(self, tried: list[Any], truth: Any = None) -> Scenario:
        raw = {key: value for key, value in self.scenario.raw.items() if key not in ("solve", "sweep")}
        changed = from_dict(raw, name=self.scenario.name, where=self.scenario.where)
        changed = changed.replace(self.swept | ({} if truth is None else {"world.truth": truth}))
        raw = changed.raw | {"sweep": {self.section.key: tried}}
        return from_dict(raw, name=self.scenario.name, where=self.scenario.where)

    def _exactly(self, tried: list[Any]) -> pd.DataFrame | None:
        """The table where every metric asked for has an exact value in every cell."""
        parts: list[list[dict[str, Any]]] = []
        for metric, truth in self._metrics():
            cells = self._cells(tried, truth)
            _, _, protocols = prepared(cells, self.progress)
            found: list[dict[str, Any]] = []
            for number, protocol in enumerate(protocols):
                rows = {row["metric"]: row for row in exact_rows(protocol, _seed(cells))}
                if metric not in rows:
                    self._check_known(metric, protocol)
                    return None
                found.append(rows[metric])
                if self.progress is not None:
                    self.progress("solving exactly", number + 1, len(protocols))
            parts.append(found)
        return self._table(tried, parts)

    def _check_known(self, metric: str, protocol: Protocol) -> None:
        """Refuse a metric that no run can have, before any is simulated. Raises `InputError`."""
        if metric not in (names := known(protocol)):
            shown = [name for name in names if name.endswith((".reject", ".rate")) or name.startswith(("n.", "stop."))]
            raise InputError(
                f"{self.scenario.where}: [solve] there is no metric '{metric}'{nearest(metric, names)} "
                f"(such as {', '.join(dict.fromkeys(shown))})"
            )

    def _simulated(self, tried: list[Any]) -> pd.DataFrame:
        parts: list[list[dict[str, Any]]] = []
        for metric, truth in self._metrics():
            result = run(self._cells(tried, truth), progress=self.progress)
            rows = result.characteristics
            names = list(dict.fromkeys(rows["metric"]))
            if metric not in names:
                raise InputError(
                    f"{self.scenario.where}: [solve] there is no metric '{metric}'{nearest(metric, names)} "
                    f"(metrics: {', '.join(names)})"
                )
            mine = rows[(rows["metric"] == metric)].drop_duplicates("cell", keep="last")  # the exact one, where it is
            rows_in_order: Any = mine.sort_values("cell").to_dict("records")
            parts.append(rows_in_order)
        return self._table(tried, parts)

    def _metrics(self) -> list[tuple[str, Any]]:
        asked: list[tuple[str, Any]] = [(self.section.metric, None)]
        if self.section.limit is not None:
            asked.append((self.section.limit.metric, self.section.limit.truth))
        return asked

    def _table(self, tried: list[Any], parts: list[list[dict[str, Any]]]) -> pd.DataFrame:
        columns = ["estimate", "mcse", "mc_low", "mc_high", "method"]
        table = pd.DataFrame([{name: row[name] for name in columns} for row in parts[0]])
        table.insert(0, "value", pd.Series(tried, dtype=object))
        least, most = self.section.at_least, self.section.at_most
        below, above = (table[name].fillna(end) for name, end in (("mc_low", -np.inf), ("mc_high", np.inf)))
        if least is not None:
            good, may, surely = table["estimate"] >= least, above >= least, below >= least
        else:
            good, may, surely = table["estimate"] <= most, below <= most, above <= most
        if len(parts) > 1:
            limit = self.section.limit
            assert limit is not None
            table["limit"] = [row["estimate"] for row in parts[1]]
            for name in ("mcse", "mc_low", "mc_high", "method"):
                table[f"limit_{name}"] = [row[name] for row in parts[1]]
            kept = table["limit"] <= limit.at_most
            good &= kept
            may &= table["limit_mc_low"].fillna(-np.inf) <= limit.at_most
            surely &= table["limit_mc_high"].fillna(np.inf) <= limit.at_most
        table["reached"], table["may"], table["surely"] = good, may, surely
        return table


def _seed(scenario: Scenario) -> int:
    return scenario.design.simulation.seed


def _sentence(section: SolveSection, table: pd.DataFrame, value: Any, lasting: Any, low: Any, high: Any) -> str:
    target = f"at least {section.at_least:g}" if section.at_least is not None else f"at most {section.at_most:g}"
    what = f"{section.metric} {target}"
    if section.limit is not None:
        what += f", with {section.limit.metric} at most {section.limit.at_most:g}"
        what += "" if section.limit.truth is None else f" where {shown(section.limit.truth)}"
    first, last = table["value"].iloc[0], table["value"].iloc[-1]
    if value is None:
        known: Any = table.dropna(subset="estimate").sort_values("estimate", kind="stable")
        best = "not known" if known.empty else _with_error(known.iloc[-1 if section.at_least is not None else 0])
        return f"No {section.key} from {first} to {last} reaches {what}; the best is {best}."
    row = table[[repr(v) == repr(value) for v in table["value"]]].iloc[0]
    text = f"The smallest {section.key} that reaches {what} is {value}: {_with_error(row)}"
    if section.limit is not None:
        text += f", {section.limit.metric} {_with_error(row, of='limit')}"
    if lasting is None:
        text += f"; it is not kept up to {last}"
    elif repr(lasting) != repr(value):
        text += f"; from {lasting} on it stays reached, up to {last}"
    if low is not None and (repr(low) != repr(value) or repr(high) != repr(value)):
        text += f"; within Monte Carlo error it may be {low}" + (f" and surely is {high}" if high is not None else "")
    return text + "."


def _with_error(row: Any, of: str = "estimate") -> str:
    """An estimate, or the limit's, with its error: "0.8123 (±0.0040)"; with limits where no error was seen."""
    mcse, low, high = (row[name if of == "estimate" else f"{of}_{name}"] for name in ("mcse", "mc_low", "mc_high"))
    method = row["method" if of == "estimate" else f"{of}_method"]
    if mcse == 0.0:
        error = "exact" if method == "exact" else f"95% limits {low:.2g} to {high:.2g}"
    else:
        error = f"±{'–' if math.isnan(mcse) else f'{mcse:.2g}'}" + (", of the draws alone" if method == "exact" else "")
    return f"{in_figures(row[of], '.4f')} ({error})"
