"""The report: self-contained, escaped, its numbers those of the result, and never with a figure missing."""

import dataclasses
import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pandas as pd
import pytest

import vtrial
from vtrial._support.errors import InputError
from vtrial._support.text import capitalised, listed
from vtrial.report.charts import histogram, rates
from vtrial.report.page import html
from vtrial.report.tables import assumptions, overview, sizes
from vtrial.report.words import general as words
from vtrial.scenario.wording import percent
from vtrial.workflows.result import Result

# What may look like an address in the page: the paper's DOI, and names that nothing fetches.
INERT = (
    "https://doi.org/",
    "http://www.w3.org/",
    "https://www.w3.org/",
    "https://vega.github.io/schema/",
    "https://vega.github.io/editor/",
    "https://github.com/vega/",
)
TIMES = ("survival-pfs", "survival-dor", "survival-os", "patients", "states")
FETCHING = {"script", "link", "img", "iframe", "object", "embed", "audio", "video", "source", "image", "use"}


class Page(HTMLParser):
    """What the tests ask of a page: tags with their attributes, and its text outside scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self._words: list[str] = []
        self._within = ""
        self.feed(text)
        self.text = re.sub(r"\s+", " ", "".join(self._words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._within = tag if tag in ("script", "style") else self._within
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = "" if tag == self._within else self._within

    def handle_data(self, data: str) -> None:
        if self._within == "script":
            self.scripts[-1] += data
        elif not self._within:
            self._words.append(data)

    @property
    def specs(self) -> dict[str, Any]:
        """The charts' specifications, by name."""
        found = re.search(r"const specs = (.*);\n", self.scripts[-1])
        assert found
        return json.loads(found.group(1))


@pytest.fixture(scope="module")
def karmma_html(karmma_result: Result) -> str:
    return html(karmma_result)


@pytest.fixture(scope="module")
def sweep_html(sample_size_result: Result) -> str:
    return html(sample_size_result)


def test_on_paper_a_wide_chart_is_drawn_smaller_not_cut(karmma_html: str) -> None:
    """Paper does not scroll: a chart that is wider than the page lost its right side, and its legend."""
    on_paper = karmma_html[karmma_html.index("@media print") : karmma_html.index("</style>")]
    assert "figure { overflow: visible; }" in on_paper
    assert "figure svg { max-width: 100%; height: auto; }" in on_paper


def test_nothing_is_fetched(karmma_html: str, sweep_html: str) -> None:
    for text in (karmma_html, sweep_html):
        page = Page(text)
        for tag, attributes in page.tags:
            for name in ("src", "href", "xlink:href", "data", "action", "srcset", "poster"):
                if value := attributes.get(name):
                    assert value.startswith("#") or (tag == "a" and value.startswith("https://doi.org/")), (tag, value)
            assert tag not in FETCHING - {"script"}, tag
        addresses = set(re.findall(r"(?:https?|wss?|ftp):/?/?[^\s\"'`<>)\\]+", text)) - {"http://", "https://"}
        assert all(address.startswith(INERT) for address in addresses if "//" in address), addresses
        assert "@import" not in text
        assert not re.search(r"url\(\s*['\"]?(?!#)[a-z]+:", text.split("<script>")[0])
        policy = next(a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a)
        assert policy is not None
        assert policy.startswith("default-src 'none'")


def test_user_text_is_escaped(karmma_result: Result) -> None:
    attack = "</script><script>alert('x')</script> & <b>bold</b>"
    scenario = karmma_result.scenario
    design = scenario.design.model_copy(update={"title": f"T {attack}", "question": f"Q {attack}"})
    manifest = karmma_result.manifest | {"title": attack}
    hurt = dataclasses.replace(
        karmma_result, scenario=dataclasses.replace(scenario, design=design, name=attack), manifest=manifest
    )
    page = Page(html(hurt))
    assert f"T {attack}" in page.text
    assert f"Q {attack}" in page.text
    assert sum(tag == "script" for tag, _ in page.tags) == 2  # the runtime, and what draws
    assert not any("alert('x')" in script for script in page.scripts)
    assert not any(tag == "b" and "bold" in str(attributes) for tag, attributes in page.tags)


def test_swept_text_is_escaped_in_tables_and_charts() -> None:
    frame = pd.DataFrame({"<u>": ["<script>1</script>"], "g": ['"><script>2</script>']})
    table = overview.drawn(frame, "t", group="g", right=["<u>"])
    assert "<script>" not in table
    assert "&lt;script&gt;1&lt;/script&gt;" in table


def test_the_answer_and_its_numbers(karmma_result: Result, karmma_html: str) -> None:
    page = Page(karmma_html)
    assert karmma_result.answer() in page.text
    assert karmma_result.scenario.design.question in page.text
    by_metric: dict[str, str] = {}
    for row in re.findall(r"<tr>.*?</tr>", karmma_html, re.S):
        for metric in re.findall(r">([a-z0-9_.]+\.[a-z0-9_.]+|success)</td>", row):
            by_metric.setdefault(metric, row)
    by_method = karmma_result.characteristics.groupby("metric", sort=False)["method"].last()  # exact last
    simulated = karmma_result.characteristics.loc[lambda rows: rows["method"] == "simulated", "metric"]
    for metric, method in by_method.items():
        estimate, mcse = karmma_result.value(metric, method="simulated" if metric in set(simulated) else method)
        months = metric.startswith("follow_up") or (".median." in metric and not metric.endswith((".ne", ".nr")))
        digits = 2 if months or metric.endswith((".n", ".events", ".responses")) or metric.startswith("n.") else 4
        row = by_metric[metric]
        for figure in (words.estimate(estimate, digits), words.number(mcse, digits)):
            assert f">{figure}<" in row, metric
    exact, _ = karmma_result.value("cr.reject", method="exact")
    row = next(row for row in re.findall(r"<tr>.*?</tr>", karmma_html, re.S) if ">cr.reject<" in row)
    assert f">{exact:.4f}<" in row


def test_a_sweep_shows_every_cell(sample_size_result: Result, sweep_html: str) -> None:
    page = Page(sweep_html)
    assert sample_size_result.answer() in page.text
    for cell in sample_size_result.scenario.cells:
        assert f"cohort.enrolled = {cell.swept['cohort.enrolled']}" in page.text
        for metric in ("orr.reject", "cr.reject", "crs3.rate.q975"):
            assert f"{sample_size_result.value(metric, cell=cell.number)[0]:.4f}" in page.text
    cells = len(sample_size_result.scenario.cells)
    assert sum(tag == "details" for tag, _ in page.tags) == cells + 1  # and the parameters'


def test_the_first_table_is_short_and_the_long_one_is_closed(karmma_html: str) -> None:
    section = karmma_html.split('<section id="characteristics">')[1].split("</section>")[0]
    before, inside = section.split("<details>")
    assert "</details>" in inside
    for metric in ("orr.reject", "n.infused", "crs.rate", "follow_up.q50", "pfs.median.q50", "os.median.nr"):
        assert f">{metric}<" in before, metric
    for metric in ("dor.150.median.low.q025", "pfs.s12", "os.events"):
        assert f">{metric}<" not in before, metric
        assert f">{metric}<" in inside, metric


def _values(node: Any) -> Iterator[list[dict[str, Any]]]:
    if isinstance(node, dict):
        yield from node.get("datasets", {}).values()
        for inner in node.values():
            yield from _values(inner)


def test_charts_have_data_and_descriptions(karmma_html: str, sweep_html: str) -> None:
    for text, names in (
        (karmma_html, {"over-trials", "power-over-worlds", "fit-0", "learned-0", *TIMES}),
        (sweep_html, {"power", "power-over-worlds", "fit-0", "learned-0", *TIMES}),
    ):
        page = Page(text)
        assert set(page.specs) == names
        for name, spec in page.specs.items():
            datasets = list(_values(spec))
            assert datasets, name
            assert all(rows for rows in datasets), name
            place = next(attributes for _, attributes in page.tags if attributes.get("id") == f"chart-{name}")
            assert place["aria-label"] == spec["description"]
        assert page.text.count("posterior SD / prior SD") == 1  # drawn once, for readers without scripts


def test_the_power_curve_is_the_table(sample_size_result: Result) -> None:
    spec = rates.power(sample_size_result).to_dict()
    (rows,) = _values(spec)
    assert {row["x"] for row in rows} == {40, 60, 80, 100, 120, 140, 160, 180, 200}
    for row in rows:
        cell = [c.swept["cohort.enrolled"] for c in sample_size_result.scenario.cells].index(row["x"])
        metric = "orr.reject" if "(orr)" in row["metric"] else "cr.reject"
        assert row["estimate"] == sample_size_result.value(metric, cell=cell)[0]
        assert row["exact"] == sample_size_result.value(metric, cell=cell, method="exact")[0]


def test_no_power_curve_without_a_sweep(karmma_result: Result) -> None:
    with pytest.raises(InputError, match=r"nothing was swept.*\[sweep\]"):
        karmma_result.plot_power()


def test_the_histogram_counts_every_trial_and_agrees_with_the_decisions(karmma_result: Result) -> None:
    (orr, _) = histogram.over_trials(karmma_result).to_dict()["concat"]
    whole = histogram.over_trials(karmma_result).to_dict()
    rows = whole["datasets"][orr["layer"][0]["data"]["name"]]
    assert sum(row["share"] for row in rows) == pytest.approx(1.0)
    rejected = sum(row["share"] for row in rows if row["side"] == "rejects")
    assert rejected == pytest.approx(karmma_result.value("orr.reject")[0])
    for row in rows:  # 128 infused in every trial: the critical rate is an edge between bars
        assert (row["left"] >= 76 / 128 - 1e-12) == (row["side"] == "rejects")


def test_the_normal_tests_excess_is_stated(karmma_result: Result, karmma_html: str) -> None:
    table = sizes.sizes(karmma_result).set_index("test")
    assert list(table["n"]) == [128, 128]
    assert table.at["cr", "size"] == pytest.approx(0.0298, abs=5e-5)
    assert table.at["orr", "size"] < 0.025
    (sentence,) = sizes.excess(table.reset_index())
    assert "'cr'" in sentence
    assert sentence.replace("'", "&#39;") in karmma_html
    assert "stated, not repaired" in karmma_html


def test_sizes_over_the_numbers_that_occur(sample_size_result: Result) -> None:
    table = sizes.sizes(sample_size_result)
    assert len(table) == 18
    assert (table["low"] <= table["size"]).all()
    assert (table["size"] <= table["high"]).all()
    assert table["mean"].between(table["low"], table["high"]).all()


def test_every_setting_is_listed(karmma_result: Result, sample_size_result: Result) -> None:
    settings = assumptions.settings(karmma_result).set_index(["section", "key"])
    assert settings.at[("[world]", "truth"), "origin"] == "stated"
    assert settings.at[("[world]", "between_trial_sd"), "origin"] == "default"
    assert settings.at[("[[test]] orr", "alpha"), "value"] == "0.025"
    design = karmma_result.scenario.design.model_dump()
    keys = sum(len(design[s]) for s in ("world", "cohort", "calendar", "simulation"))
    assert len(settings) == keys + sum(len(entry) for s in ("arm", "test") for entry in design[s])
    swept = assumptions.settings(sample_size_result).set_index(["section", "key"])
    assert swept.at[("[cohort]", "enrolled"), "origin"] == "swept"
    assert swept.at[("[cohort]", "enrolled"), "value"].startswith("40; 60; 80")


def test_stated_correlations_replace_the_priors(karmma_result: Result) -> None:
    changed = karmma_result.scenario.replace({"world.correlation.response~crs": -0.4})
    table = assumptions.correlations(dataclasses.replace(karmma_result, scenario=changed)).set_index("pair")
    assert table.at["response~crs", "value"] == "-0.4"
    assert table.at["response~crs", "origin"] == "scenario, in place of 0.2"
    assert table.at["crs~neurotoxicity", "origin"] == "priors.toml"


def test_the_headline_with_a_realistic_shift(karmma_result: Result, sample_size_result: Result) -> None:
    found = assumptions.shifted(karmma_result)
    assert found is not None
    table, sentence = found
    cr = [float(text.split(" ")[0]) for text in table.iloc[:, -1]]
    assert cr == sorted(cr, reverse=True)
    assert cr[0] - cr[2] > 0.05
    assert "SD of 0.3" in sentence
    assert assumptions.shifted(sample_size_result) is None


def test_what_the_data_did_not_move_is_said(karmma_result: Result, karmma_html: str) -> None:
    table = overview.diagnostics(karmma_result.posterior, karmma_result.evidence).set_index("parameter")
    assert table.at["intercept[neurotoxicity5]", "ratio"] > 0.9  # no patient informs it
    assert table.at["intercept[response]", "ratio"] < 0.3
    said = re.findall(r"so that the prior decides: <b>(.*?)</b>", karmma_html)
    unmoved = set(table.index[table["ratio"] > 0.9])
    assert set(re.split(", | and ", said[0])) == unmoved
    assert sum(name.startswith("survival[") for name in table.index) == len(karmma_result.evidence.priors.survival)
    long = re.search(r"<summary>Prior and posterior mean and SD of all (\d+) .*?</details>", karmma_html, re.S)
    assert long
    assert int(long.group(1)) == len(table)
    for name, row in table.iterrows():
        assert name in long.group(0)
        cells = "".join(re.findall(rf">{re.escape(str(name))}</td>(.*?)</tr>", long.group(0), re.S))
        for column in ("prior_mean", "prior_sd", "mean", "sd"):
            assert f">{row[column]:.2f}<" in cells, (name, column)


def test_the_same_result_gives_the_same_page(karmma_result: Result, karmma_html: str) -> None:
    assert html(karmma_result) == karmma_html


def test_provenance(karmma_result: Result, karmma_html: str) -> None:
    page = Page(karmma_html)
    for value in (karmma_result.posterior.sha256, karmma_result.evidence.sha256, karmma_result.scenario.sha256):
        assert value in page.text
    for value in karmma_result.manifest["versions"].values():
        assert value in page.text


def test_reports_of_other_scenarios() -> None:
    """A sweep without tests over words; a "less" test on the enrolled; one trial alone."""
    doses = vtrial.run(
        {
            "arm": [{}],
            "simulation": {"endpoints": ["orr", "crs3"], "trials": 50},
            "sweep": {"arm.arm.doses": [{"300": 1}, {"450": 1}]},
        }
    )
    assert set(Page(html(doses)).specs) == {"rates-over-sweep", "fit-0", "learned-0"}
    with pytest.raises(InputError, match=r"no \[\[test\]\]"):
        doses.plot_power()
    safety = {"name": "crs3", "endpoint": "crs3", "null": 0.25, "alternative": "less", "population": "enrolled"}
    alone = vtrial.run(
        {
            "world": {"truth": "posterior-mean"},
            "cohort": {"enrolled": 30},
            "test": [safety],
            "simulation": {"trials": 1},
        }
    )
    page = Page(html(alone))
    assert "CRS of grade 3 or higher of the enrolled < 25%" in page.text
    assert "nan" not in page.text.lower().split("assumed")[0]


def test_words() -> None:
    assert percent(0.125) == "12.5%"
    assert percent(0.07) == "7%"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert capitalised("response") == "Response"
