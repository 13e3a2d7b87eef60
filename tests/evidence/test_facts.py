"""facts.csv: what KarMMa published is read as printed, and what is malformed is refused with file, line and reason."""

import csv
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial.boundaries.intervals import proportion_interval
from vtrial.evidence import Evidence, load
from vtrial.evidence.reading import READS

KARMMA = ROOT / "priors" / "karmma"
Rows = list[dict[str, str]]


def rows_of(path: Path = KARMMA / "facts.csv") -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def study(folder: Path, rows: Rows, name: str = "copied") -> Path:
    """A study with KarMMa's priors and these facts."""
    made = folder / name
    made.mkdir()
    shutil.copy(KARMMA / "priors.toml", made)
    with (made / "facts.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return made


def edited(changes: dict[str, dict[str, str]]) -> Rows:
    """KarMMa's facts with some cells changed: {fact: {column: text}}."""
    rows = rows_of()
    assert set(changes) <= {row["fact"] for row in rows}, "a change names no fact: the test would test nothing"
    return [row | changes.get(row["fact"], {}) for row in rows]


def without(*prefixes: str) -> Rows:
    kept = [row for row in rows_of() if not row["fact"].startswith(prefixes)]
    assert len(kept) < len(rows_of())
    return kept


def line_of(fact: str) -> int:
    return 2 + [row["fact"] for row in rows_of()].index(fact)


@contextmanager
def refused(*said: str) -> Iterator[None]:
    """What is inside raises `InputError` with one line that says all of `said`."""
    with pytest.raises(InputError) as caught:
        yield
    message = str(caught.value)
    assert "\n" not in message
    for words in said:
        assert words in message, message


# KarMMa


def test_every_row_is_a_fact(evidence: Evidence) -> None:
    assert len(evidence.facts) == len(rows_of()) == 345
    assert list(evidence.facts.index) == [row["fact"] for row in rows_of()]
    assert evidence.doses == (150.0, 300.0, 450.0)
    assert evidence.infused == (4, 70, 54)
    assert evidence.systems == ("disposition", "response", "mrd", "crs", "neurotoxicity", "survival")
    np.testing.assert_allclose(evidence.log2_doses, [-1.0, 0.0, np.log2(1.5)], rtol=1e-15)


@pytest.mark.parametrize(
    ("fact", "count", "n"),
    [
        ("infused.all", 128, 140),
        ("orr.all", 94, 128),
        ("orr.300", 48, 70),
        ("orr.450", 44, 54),
        ("cr.all", 42, 128),
        ("cr.300", 20, 70),
        ("cr.450", 21, 54),
        ("vgpr.all", 25, 128),
        ("mrd.evaluable.all", 33, 42),
        ("mrd.negative.all", 33, 33),
        ("crs.150", 2, 4),
        ("crs.300", 53, 70),
        ("crs.450", 52, 54),
        ("crs3.300", 4, 70),
        ("neurotoxicity3.450", 3, 54),
        ("deaths.all", 44, 128),
        ("kinetics.persistence_6.all", 29, 49),
        ("kinetics.persistence_12.all", 4, 11),
        ("sbcma.undetectable.vgpr", 21, 26),
        ("baseline.hsct_at_least_1.all", 120, 128),
    ],
)
def test_counts_are_the_papers(evidence: Evidence, fact: str, count: int, n: int) -> None:
    assert evidence.count(fact) == (count, n)


def test_medians_and_limits_are_the_papers(evidence: Evidence) -> None:
    table = evidence.facts.loc[["pfs.all", "pfs.450", "dor.cr", "os.all"], ["value", "low", "high", "level"]]
    expected = [[8.8, 5.6, 11.6, 0.95], [12.1, 8.8, 12.3, 0.95], [19.0, 11.3, np.inf, 0.95], [19.4, 18.2, np.inf, 0.95]]
    np.testing.assert_array_equal(table.to_numpy(), expected)
    assert evidence.facts.at["date.data_cutoff", "published"] == "2020-01-14"
    assert evidence.facts.loc["os.12.all", ["time", "value"]].tolist() == [12.0, 0.78]


def test_totals_of_the_paper_add_up(evidence: Evidence) -> None:
    def size(fact: str) -> int:
        return evidence.count(fact)[0]

    assert size("cr.all") + size("vgpr.all") + size("pr.all") == size("orr.all") == 42 + 25 + 27
    for endpoint in ("orr", "cr", "crs", "crs3", "neurotoxicity", "neurotoxicity3", "baseline.male", "infused"):
        assert sum(size(f"{endpoint}.{dose}") for dose in (150, 300, 450)) == size(f"{endpoint}.all"), endpoint
    assert size("os.censored.all") + size("deaths.all") == size("infused.all") == 84 + 44


def test_totals_of_other_rows_are_never_fitted(evidence: Evidence) -> None:
    """No model reads a derived row, so no patient counts twice; nor one held back. Dates are no patients."""
    for system in evidence.systems:
        read = evidence.facts.loc[evidence.reads(system)]
        dates = read["statistic"] == "date"
        assert set(read.loc[~dates, "use"]) == {"fit"}, system
        assert set(read.loc[dates, "use"]) == ({"context"} if system == "survival" else set()), system


def test_published_intervals_are_those_of_their_methods(evidence: Evidence) -> None:
    rows = evidence.facts[evidence.facts["statistic"] == "proportion_ci"]
    assert len(rows) >= 2
    for fact, row in rows.iterrows():
        limits = proportion_interval(row["count"], row["n"], method=row["method"], level=row["level"])
        assert [round(float(limit), 2) for limit in limits] == [row["low"], row["high"]], fact


@pytest.mark.parametrize(("fact", "other"), [("orr.all.ci", "wilson"), ("mrd.negative_in_infused.all.ci", "wald")])
def test_the_other_method_does_not_give_the_published_interval(evidence: Evidence, fact: str, other: str) -> None:
    row = evidence.facts.loc[fact]
    limits = proportion_interval(row["count"], row["n"], method=other, level=row["level"])  # type: ignore[arg-type]
    assert [round(float(limit), 2) for limit in limits] != [row["low"], row["high"]]


def test_a_copy_is_read_alike(tmp_path: Path, evidence: Evidence) -> None:
    copied = load(study(tmp_path, rows_of()))
    assert copied.facts.equals(evidence.facts)
    assert copied.study == "copied"


def test_a_changed_file_has_another_hash(tmp_path: Path, evidence: Evidence) -> None:
    plain = shutil.copytree(KARMMA, tmp_path / "plain")
    assert load(plain).sha256 == evidence.sha256
    changed = shutil.copytree(KARMMA, tmp_path / "changed")
    (changed / "priors.toml").write_text((KARMMA / "priors.toml").read_text() + "\n# a word\n")
    assert load(changed).sha256 != evidence.sha256


# one row is malformed: file, line, fact and reason

MALFORMED: list[tuple[str, dict[str, str], str]] = [
    ("orr.300", {"count": "71", "value": ""}, "count 71 is above n 70"),
    ("orr.300", {"count": "-1", "value": ""}, "count is -1, not a whole number from 0"),
    ("orr.300", {"count": "48.5", "value": ""}, "count is 48.5, not a whole number"),
    ("orr.300", {"count": "many"}, "count is 'many', not a number"),
    ("orr.300", {"count": ""}, "a count needs 'count'"),
    ("orr.300", {"n": ""}, "a count needs 'n'"),
    ("orr.300", {"n": "nan"}, "n is 'nan'"),
    ("orr.300", {"count": "0", "n": "0", "value": ""}, "n is 0"),
    ("orr.300", {"value": "0.81"}, "value 0.81 is not 48 of 70 rounded to a percent (0.6857)"),
    ("orr.300", {"value": "69"}, "value 69 is not 48 of 70"),
    ("orr.300", {"value": "0.68"}, "value 0.68 is not 48 of 70"),
    ("orr.300", {"value": "0.70"}, "value 0.7 is not 48 of 70"),
    ("orr.300", {"statistic": "fraction"}, "unknown statistic 'fraction' (allowed: count, "),
    ("orr.300", {"use": "train"}, "use is 'train' (allowed: fit, check, context, derived)"),
    ("orr.300", {"source": ""}, "system and source must be given"),
    ("orr.300", {"dose": "high"}, "dose is 'high'; a number, or 'all'"),
    ("orr.300", {"cut": "14 January 2020"}, "'14 January 2020' is not a date"),
    ("orr.all.ci", {"low": "0.81", "high": "0.66"}, "the interval is the wrong way round (0.81 to 0.66)"),
    ("orr.all.ci", {"level": "95"}, "level is 95, not between 0 and 1"),
    ("orr.all.ci", {"method": ""}, "a proportion_ci needs 'method'"),
    ("pfs.all", {"low": "11.6", "high": "5.6"}, "the interval is the wrong way round (11.6 to 5.6)"),
    ("pfs.all", {"value": "12"}, "value 12 lies outside 5.6 to 11.6"),
    ("pfs.all", {"high": "inf"}, "write NE for a limit that was not estimable"),
    ("pfs.all", {"level": ""}, "a km_median needs 'level'"),
    ("baseline.age.300", {"value": "32"}, "value 32 lies outside 33 to 76"),
    ("baseline.age.300", {"high": ""}, "a median_range needs 'high'"),
    ("os.12.all", {"value": "78"}, "a proportion is 78, not between 0 and 1"),
    ("os.12.all", {"time": "-1"}, "time is -1, before infusion"),
    ("os.12.all", {"time": ""}, "a km_survival needs 'time'"),
    ("date.data_cutoff", {"value": "2020-02-30"}, "'2020-02-30' is not a date"),
]


@pytest.mark.parametrize(("fact", "cells", "reason"), MALFORMED, ids=[f"{f} {c}" for f, c, _ in MALFORMED])
def test_a_malformed_row_is_refused(tmp_path: Path, fact: str, cells: dict[str, str], reason: str) -> None:
    folder = study(tmp_path, edited({fact: cells}))
    with refused(f"{folder / 'facts.csv'}: line {line_of(fact)} ({fact}): ", reason):
        load(folder)


@pytest.mark.parametrize("name", ["", "ORR.300", "orr 300", ".orr", "orr..300"])
def test_a_fact_id_is_words_and_dots(tmp_path: Path, name: str) -> None:
    rows = rows_of()
    rows[line_of("pr.all") - 2]["fact"] = name
    with refused(f"line {line_of('pr.all')}: fact id {name!r} is not lower-case words joined by dots"):
        load(study(tmp_path, rows))


def test_a_fact_that_stands_twice_is_refused(tmp_path: Path) -> None:
    rows = rows_of()
    again = next(row for row in rows if row["fact"] == "orr.300")
    with refused("facts.csv: line 347: fact 'orr.300' stands twice"):
        load(study(tmp_path, [*rows, again]))


# the file as a whole is malformed


def _rewritten(change: Callable[[str], str]) -> Callable[[Path], None]:
    return lambda file: file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")


FILES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (
        _rewritten(lambda text: ""),
        ("line 1: columns 'fact', 'system', ", " are missing (needed: fact, system, "),
    ),
    "header alone": (_rewritten(lambda text: text.split("\n")[0]), ("there is no fact in it",)),
    "column missing": (_rewritten(lambda t: t.replace(",count,n,", ",n,", 1)), ("line 1: column 'count' is missing",)),
    "column unknown": (_rewritten(lambda t: t.replace(",use\n", ",use,note\n", 1)), ("line 1", "no column 'note'")),
    "column twice": (_rewritten(lambda t: t.replace(",use\n", ",use,use\n", 1)), ("line 1: a column stands twice",)),
    "cell too many": (
        _rewritten(lambda text: text.replace("\norr.300,", "\norr.300,,", 1)),
        (f"line {line_of('orr.300')}: 19 cells, but the header has 18",),
    ),
    "cells too few": (
        _rewritten(lambda text: text + "orr.600,response\n"),
        ("line 347: 2 cells, but the header has 18",),
    ),
    "quote left open": (
        _rewritten(lambda text: text.replace("\norr.300,", '\n"orr.300,', 1)),
        (f"line {line_of('orr.300')}: ',' expected after '\"'",),
    ),
    "quote left open at the end": (
        _rewritten(lambda text: text + 'late.all,response,infused,all,,,count,1,2,,,,,patients,,,"Results,fit\n\n'),
        ("line 347: unexpected end of data",),
    ),
    "not UTF-8": (lambda file: file.write_bytes(b"fact,system\xff\n"), ("cannot be read", "utf-8")),
    "a table sheet": (lambda file: file.write_bytes(b"PK\x03\x04\x14\x00\x06\x00\xe2\x28"), ("facts.csv: ",)),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_malformed_file_is_refused(tmp_path: Path, kind: str) -> None:
    damage, said = FILES[kind]
    folder = study(tmp_path, rows_of())
    before = (folder / "facts.csv").read_bytes()
    damage(folder / "facts.csv")
    assert (folder / "facts.csv").read_bytes() != before
    with refused(f"{folder / 'facts.csv'}: ", *said):
        load(folder)


def test_blank_lines_and_another_order_of_columns_are_fine(tmp_path: Path, evidence: Evidence) -> None:
    turned = [dict(reversed(row.items())) for row in rows_of()]
    folder = study(tmp_path, turned)
    (folder / "facts.csv").write_text((folder / "facts.csv").read_text() + "\n,,,,,,,,,,,,,,,,,\n")
    assert load(folder).facts.equals(evidence.facts)


# rows that are each well formed contradict each other

CONTRADICTIONS: list[tuple[dict[str, dict[str, str]], tuple[str, ...]]] = [
    # doses, and sums listed in priors.toml
    ({"orr.300": {"count": "49", "value": ""}}, ("orr.150 2 + orr.300 49 + orr.450 44 = 95, but orr.all is 94",)),
    ({"baseline.male.450": {"count": "35", "value": ""}}, ("baseline.male.450 35 = 77, but baseline.male.all is 76",)),
    ({"infused.300": {"count": "71"}}, ("infused.300 71 + infused.450 54 = 129, but infused.all is 128",)),
    ({"pr.all": {"count": "28"}}, ("cr.all 42 + vgpr.all 25 + pr.all 28 = 95, but orr.all is 94",)),
    ({"not_infused.all": {"count": "13"}}, ("not_infused.all 13 = 141, but enrolled.all is 140",)),
    ({"crs.grade4.all": {"count": "2"}}, ("crs.grade5.all 1 = 8, but crs3.all is 7",)),
    ({"deaths.450": {"count": "16"}}, ("os.censored.450 39 + deaths.450 16 = 55, but infused.450 is 54",)),
    # parts above their whole
    (
        {"cr.150": {"count": "3", "value": ""}, "cr.300": {"count": "18", "value": ""}},
        ("cr.150 (3 of 4) does not fit orr.150 (2 of 4)",),
    ),
    (
        {"crs3.150": {"count": "4"}, "crs3.300": {"count": "0", "value": ""}},
        ("crs3.150 (4 of 4) does not fit crs.150 (2 of 4)",),
    ),
    (
        {"neurotoxicity3.150": {"count": "1"}, "neurotoxicity3.300": {"count": "0", "value": ""}},
        ("neurotoxicity3.150 (1 of 4) does not fit neurotoxicity.150 (0 of 4)",),
    ),
    # denominators
    ({"orr.300": {"n": "69", "value": ""}}, ("orr.300 is of 69 infused patients, but 70 were infused",)),
    ({"crs.grade4.all": {"n": "127"}}, ("crs.grade4.all is of 127",)),
    ({"vgpr.all": {"n": "127"}}, ("vgpr.all is of 127",)),
    ({"infused.all": {"n": "141"}}, ("infused.all is of 141; as a part of enrolled.all",)),
    ({"mrd.negative.all": {"n": "34", "count": "33"}}, ("denominators of mrd.evaluable.all and mrd.negative.all",)),
    # what the models read must be counts, in the row of their dose
    ({"vgpr.all": {"statistic": "number", "value": "25"}}, ("vgpr.all is a number; the model of response reads a",)),
    ({"infused.150": {"statistic": "number", "value": "4"}}, ("infused.150 is a number; a count",)),
    ({"cr.300": {"dose": "450"}}, ("cr.300 stands in a row of dose '450'",)),
    ({"infused.300": {"dose": "all"}, "orr.300": {"dose": "all"}}, ("orr.300 stands in a row of dose 'all'",)),
    ({"vgpr.all": {"dose": "300"}}, ("vgpr.all stands in a row of dose '300'",)),
    # what is read of times is of the right kind, of the patients that the counts name, and in order
    (
        {"deaths.450": {"statistic": "number", "value": "15"}},
        ("deaths.450 is a number; the model of survival reads a",),
    ),
    ({"dor.cr": {"statistic": "median_range"}}, ("dor.cr is a median_range; the model of survival reads a km_median",)),
    (
        {"date.data_cutoff": {"statistic": "number", "value": "25"}},
        ("date.data_cutoff is a number; the model of survival reads a date",),
    ),
    ({"pfs.450": {"dose": "all"}}, ("pfs.450 stands in a row of dose 'all'",)),
    ({"pfs.450": {"n": "53"}}, ("pfs.450 is of 53 infused patients, but 54 were infused",)),
    ({"dor.pr": {"n": "28"}}, ("dor.pr is of 28 patients, but there were 27",)),
    ({"response.time_to_cr.all": {"n": "41"}}, ("response.time_to_cr.all is of 41 patients, but there were 42",)),
    (
        {"retreatment.retreated.all": {"count": "29"}},
        ("retreatment.response.all is of 28 patients, but there were 29",),
    ),
    (
        {
            "deaths.related_ae_within_8_weeks.all": {"count": "0", "value": ""},
            "deaths.all": {"count": "41", "value": ""},
        }
        | {"os.censored.all": {"count": "87", "value": ""}},
        ("crs.grade5.all is 1, but deaths.related_ae_within_8_weeks.all, which holds them, is 0",),
    ),
    (
        {"date.last_enrolment": {"value": "2020-01-14"}},
        ("date.data_cutoff (2020-01-14) is not after date.last_enrolment (2020-01-14)",),
    ),
    ({"mrd.negative.all": {"count": "32"}}, ("mrd.negative_in_cr.all is 33, but mrd.negative.all is 32",)),
]


@pytest.mark.parametrize(("changes", "said"), CONTRADICTIONS, ids=[" ".join(c) for c, _ in CONTRADICTIONS])
def test_contradictions_between_rows_are_refused(
    tmp_path: Path, changes: dict[str, dict[str, str]], said: tuple[str, ...]
) -> None:
    folder = study(tmp_path, edited(changes))
    with refused(f"{folder / 'facts.csv'}: ", *said):
        load(folder)


def _unlisted(folder: Path) -> Path:
    """A study without the sums that priors.toml lists: the models' own checks are then all there is."""
    file = folder / "priors.toml"
    file.write_text(file.read_text(encoding="utf-8").split("[sum]")[0], encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"vgpr.all": {"count": "53"}}, "vgpr.all is 53, but only 52 patients had a response short of CR"),
        ({"crs.grade3.all": {"count": "6", "value": ""}}, "crs grades 3, 4 and 5 add up to 8, crs3 to 7"),
        ({"neurotoxicity.grade5.all": {"count": "1"}}, "neurotoxicity grades 3, 4 and 5 add up to 5, neurotoxicity3"),
        ({"mrd.evaluable.all": {"n": "41"}}, "denominators of mrd.evaluable.all and mrd.negative.all"),
        ({"mrd.evaluable.all": {"count": "32"}}, "denominators of mrd.evaluable.all and mrd.negative.all"),
    ],
)
def test_the_models_check_what_no_sum_lists(tmp_path: Path, changes: dict[str, dict[str, str]], said: str) -> None:
    assert load(_unlisted(study(tmp_path, rows_of(), "whole"))).systems
    with refused("facts.csv: ", said):
        load(_unlisted(study(tmp_path, edited(changes), "changed")))


def test_a_listed_sum_of_absent_facts_is_refused(tmp_path: Path) -> None:
    folder = study(tmp_path, without("deaths.unrelated_ae_after_6_months"))
    with refused(f"{folder / 'priors.toml'}: [sum] 'deaths.all' names 'deaths.unrelated_ae_after_6_months.all'"):
        load(folder)


@pytest.mark.parametrize("fact", ["orr.450", "cr.150", "vgpr.all", "infused.all"])
def test_response_and_attrition_cannot_do_without_their_facts(tmp_path: Path, fact: str) -> None:
    folder = _unlisted(study(tmp_path, [row for row in rows_of() if row["fact"] != fact]))
    with refused(f"{folder / 'facts.csv'}: fact '{fact}' is missing; the model of "):
        load(folder)


def test_a_study_must_say_how_many_were_infused(tmp_path: Path) -> None:
    folder = study(tmp_path, without("infused.150", "infused.300", "infused.450"))
    with refused("facts.csv: no fact 'infused.<dose>' says how many were infused at each dose"):
        load(_unlisted(folder))


@pytest.mark.parametrize("dose", ["0", "300.0", "0300", "1.5.2"])
def test_a_dose_is_a_plain_number(tmp_path: Path, dose: str) -> None:
    rows = rows_of()
    rows[line_of("infused.300") - 2]["fact"] = f"infused.{dose}"
    with refused(f"facts.csv: infused.{dose}: '{dose}' is not a dose"):
        load(study(tmp_path, rows))


def test_doses_may_be_counted_in_cells(tmp_path: Path) -> None:
    """450000000 is a dose as good as 450: no fact is lost to the way in which a number is printed."""
    rows = rows_of()
    for row in rows:
        for dose in ("150", "300", "450"):
            row["fact"] = row["fact"].replace(f".{dose}", f".{dose}000000")
            row["dose"] = f"{dose}000000" if row["dose"] == dose else row["dose"]
    folder = study(tmp_path, rows)
    file = folder / "priors.toml"
    changed = file.read_text(encoding="utf-8").replace("reference = 300\n", "reference = 300e6\n")
    file.write_text(changed.replace(".450", ".450000000"), encoding="utf-8")
    read = load(folder)
    assert read.doses == (150e6, 300e6, 450e6)
    assert read.infused == (4, 70, 54)
    assert [list(counts) for counts in read.counts("orr")] == [[2, 48, 44], [4, 70, 54]]
    np.testing.assert_allclose(read.log2_doses, vtrial.load_evidence("karmma").log2_doses)


@pytest.mark.parametrize(
    ("prefixes", "absent"),
    [
        (("crs",), {"crs", "survival"}),  # deaths of CRS are among those that the model of times reads
        (("neurotoxicity",), {"neurotoxicity"}),
        (("mrd",), {"mrd"}),
        (("dor", "pfs", "os"), {"survival"}),
        (("date.data_cutoff",), {"survival"}),
    ],
)
def test_a_study_may_leave_a_system_out(tmp_path: Path, prefixes: tuple[str, ...], absent: set[str]) -> None:
    read = load(_unlisted(study(tmp_path, without(*prefixes))))
    assert read.systems == tuple(system for system in READS if system not in absent)


def test_a_study_of_response_alone(tmp_path: Path) -> None:
    rows = [row for row in rows_of() if row["fact"].split(".")[0] in ("infused", "orr", "cr", "vgpr")]
    read = load(_unlisted(study(tmp_path, rows)))
    assert read.systems == ("disposition", "response")
    assert list(read.counts("cr")[0]) == [1, 20, 21]


# Any single wrong number of patients among those that models read is noticed: each is bound by a sum or a denominator.

KARMMA_FACTS = vtrial.load_evidence("karmma")
READ = sorted({fact for system in READS for fact in KARMMA_FACTS.reads(system)} | {"infused.300"})
NUMBERS = [
    (fact, column)
    for fact in READ
    for column in ("count", "n")
    if np.isfinite(KARMMA_FACTS.facts.at[fact, column])
    and (fact, column) != ("infused.300", "n")  # which no model reads
]


@pytest.mark.parametrize(("fact", "column"), NUMBERS, ids=[f"{fact} {column}" for fact, column in NUMBERS])
def test_a_single_wrong_number_is_refused(tmp_path: Path, fact: str, column: str) -> None:
    row = next(row for row in rows_of() if row["fact"] == fact)
    for step in (-60, -7, -2, -1, 1, 2, 7, 60):
        cells = {column: str(int(row[column]) + step)}
        if row["statistic"] == "count":
            cells["value"] = ""  # else a rounded percentage would tell
        folder = study(tmp_path, edited({fact: cells}), f"off by {step}")
        with refused("facts.csv: "):
            load(folder)


def test_every_fact_on_patients_that_a_model_reads_was_made_wrong() -> None:
    assert {fact for fact, _ in NUMBERS} == {fact for fact in READ if not fact.startswith("date.")}
