"""Parsers: what is nested, long, marked or written in other digits; hints that lead where one wants to go."""

import shutil
import tracemalloc
from pathlib import Path

import pytest

from tests import ROOT
from vtrial import InputError, load_evidence, load_scenario
from vtrial._support.errors import nearest
from vtrial._support.validation import MAX_BYTES, plain_number
from vtrial.scenario import from_dict
from vtrial.workflows.monitor.data import read

PLAIN = '[[test]]\nname = "orr"\nendpoint = "orr"\nnull = 0.5\n'
ORR = {"name": "orr", "endpoint": "orr", "null": 0.5}
BOMB = PLAIN + (
    '[[look]]\nname = "i"\nwhen = { infused = { from = 1, to = 1000000000 } }\n'
    '[[look.rule]]\nkind = "count"\nendpoint = "orr"\nat_most = 3\nthen = "futility"\n'
)
HARD = {
    "deep-array": ('title = "x"\nanswer = ' + "[" * 3000 + "]" * 3000 + "\n", "more than 32 deep"),
    "deep-table": ("world = " + "{a=" * 1500 + "1" + "}" * 1500 + "\n", "more than 32 deep"),
    "deep-dotted": (".".join("a" for _ in range(3000)) + " = 1\n", "more than 32 deep"),
    "deep-enough": ("answer = " + "[" * 40 + "]" * 40 + "\n", "more than 32 deep"),
    "huge-integer": ("[simulation]\ntrials = " + "9" * 5000 + "\n", "not valid TOML: Exceeds the limit"),
    "large-integer": (f"[simulation]\ntrials = {2**63}\n", "[simulation] trials is 2**63 or more; whole numbers have"),
    "hexadecimal": ("[simulation]\nseed = 0x" + "f" * 20_000 + "\n", "[simulation] seed is 2**63 or more"),
    "large-file": ("#" * MAX_BYTES + "\n", "is larger than 16 MB"),
    "looks-bomb": (BOMB, "[[look]] 'i' when.infused: {'from': 1, 'to': 1000000000} is 1,000,000,000 looks; at most"),
    "not-text": (b"\xff\xfe\x00\x01", "cannot be read ("),
}


@pytest.mark.parametrize("name", HARD)
def test_what_is_hard_to_parse_is_refused_in_one_line_and_little_memory(tmp_path: Path, name: str) -> None:
    content, words = HARD[name]
    file = tmp_path / f"{name}.toml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    reads = [load_scenario, *([] if name == "looks-bomb" else [lambda path: read(path)])]
    for reading in reads:
        tracemalloc.start()
        with pytest.raises(InputError) as caught:
            reading(file)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert str(caught.value).startswith(f"{file}: ")
        assert words in str(caught.value)
        assert len(str(caught.value)) < 500
        assert peak < 100e6


def test_data_in_python_is_checked_as_a_file_is() -> None:
    deep: list[object] = []
    for _ in range(2000):
        deep = [deep]
    with pytest.raises(InputError, match="more than 32 deep"):
        from_dict({"answer": deep})
    with pytest.raises(InputError, match=r"\[simulation\] trials is 2\*\*63 or more"):
        from_dict({"simulation": {"trials": 10**400}})
    assert from_dict({"test": (ORR,), "cohort": {"infused": None}}).raw == {"test": [ORR], "cohort": {}}


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + PLAIN.encode())
    assert load_scenario(tmp_path / "marked.toml").design == from_dict({"test": [ORR]}).design
    (tmp_path / "data.toml").write_bytes(b'\xef\xbb\xbf[[look]]\nname = "end"\ninfused = 3\n')
    assert read(tmp_path / "data.toml")[0].look[0].infused == 3
    study = shutil.copytree(ROOT / "priors" / "karmma", tmp_path / "karmma")
    for name in ("facts.csv", "priors.toml"):
        (study / name).write_bytes(b"\xef\xbb\xbf" + (study / name).read_bytes())
    marked, plain = load_evidence(study), load_evidence(ROOT / "priors" / "karmma")
    assert marked.facts.equals(plain.facts)
    assert marked.priors == plain.priors


@pytest.mark.parametrize("text", ["４５０", "٤٥٠", "4_50", " 450", "450 ", "", "1e", "0x10", "+-3", "4५0"])
def test_other_digits_are_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        plain_number(text)
    with pytest.raises(InputError, match=r"\[\[arm\]\] number 1: dose '.*' is not a positive number"):
        from_dict({"arm": [{"doses": {text: 1}}]})
    with pytest.raises(InputError, match=r"\[world\] truth: dose '.*' is not a positive number"):
        from_dict({"world": {"truth": {"orr": {text: 0.5}}}})


def test_plain_digits_are_numbers() -> None:
    assert [plain_number(text) for text in ("450", "-.5", "4.5e2", "1.")] == [450.0, -0.5, 450.0, 1.0]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("orr.300,response,infused,300", "orr.300,response,infused,３００", "dose is '３００'; a number, or 'all'"),
        (",48,70,", ",４８,70,", "count is '４８', not a number"),
        ("2020-01-14", "2020-W03-2", "is not a date (year-month-day)"),
    ],
)
def test_other_digits_in_facts_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    study = shutil.copytree(ROOT / "priors" / "karmma", tmp_path / "karmma")
    text = (study / "facts.csv").read_text(encoding="utf-8")
    assert old in text
    (study / "facts.csv").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_evidence(study)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("given", "known", "hint"),
    [
        ("binomial", ["normal", "exact", "posterior"], "exact"),
        ("binomial", ["normal", "posterior"], ""),
        ("n", ["infused", "any", "all"], "infused"),
        ("n", ["any", "on"], ""),
        ("orr.power", ["orr.rate", "orr.reject"], "orr.reject"),
        ("enroled", ["enrolled", "infused"], "enrolled"),
        ("nul", ["null", "name"], "null"),
        ("Karmma", ["karmma"], "karmma"),
        ("follow_up", ["follow_up_months", "final"], "follow_up_months"),
        ("cuont", ["count", "conditional"], "count"),
        ("simon", ["normal", "median"], ""),
    ],
)
def test_a_hint_is_a_likely_slip(given: str, known: list[str], hint: str) -> None:
    assert nearest(given, known, cutoff=0.5) == (f"; did you mean '{hint}'?" if hint else "")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"arm": [{"name": "a"}, {"name": "b"}]}, ["2 [[arm]]: one arm is simulated so far; give one [[arm]]"]),
        ({"arm": []}, ["arm = []: at least one entry is needed"]),
        (
            {"cohort": {"enroled": 3, "infused": "x"}, "test": [ORR | {"null": 5}]},
            ["[cohort] has no key 'enroled'", "; and [cohort] infused = 'x'", "; and [[test]] 'orr' null = 5"],
        ),
        ({"test": [ORR | {f"k{k}": 1 for k in range(9)}]}, ["(and 4 more)"]),
        (
            {"solve": {"key": "cohort.infused", "from": 10, "to": 20, "metric": "orr.reject", "at_least": 90.0}},
            ["at_least = 90: orr.reject is a probability or a share, from 0 to 1; 90% is 0.9"],
        ),
        (
            {"solve": {"key": "cohort.infused", "from": 10, "to": 20, "metric": "stop.futility", "at_most": -0.5}},
            ["at_most = -0.5: stop.futility is a probability or a share, from 0 to 1"],
        ),
    ],
)
def test_what_is_wrong_is_said(data: dict[str, object], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        from_dict(data)
    for word in words:
        assert word in str(caught.value)


def test_months_may_exceed_one() -> None:
    wanted = {"key": "cohort.infused", "from": 10, "to": 20, "metric": "pfs.median.q50", "at_least": 9.0}
    assert from_dict({"solve": wanted}).solve is not None
