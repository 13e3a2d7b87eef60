"""The command line: help, answer and files; bad input ends in one line; nothing half-written is left."""

import contextlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
from filelock import FileLock

import vtrial
from tests import ROOT
from vtrial.characteristics.monte_carlo import COLUMNS
from vtrial.cli import app, console
from vtrial.model.posterior import Posterior
from vtrial.workflows import run as running
from vtrial.workflows.result import FILES

VTRIAL = (sys.executable, "-m", "vtrial.cli")
TRIALS = 300
SMALL = """
title = "Small [bold]and[/bold] :smile:"
question = "Does [this] stay as it is?"

[world]
truth = { orr = 0.65 }

[[arm]]
name = "one"
doses = { "300" = 1 }

[cohort]
enrolled = 20

[[test]]
name = "orr"
endpoint = "orr"
null = 0.5

[simulation]
trials = 300
seed = 5
endpoints = ["orr"]
"""


@dataclass(frozen=True)
class Said:
    """How a call ended, and what it printed."""

    status: int
    out: str
    err: str

    def is_refusal(self, *words: str) -> bool:
        """Status 2, nothing on stdout; the last line of stderr begins with `error:`, no other does; no traceback."""
        assert self.status == 2, self
        assert self.out == "", self
        *progress, last = self.err.splitlines()
        assert last.startswith("error: "), self
        assert all(line.endswith(" ...") for line in progress), self
        for word in words:
            assert word in last, self
        return True


Call = Callable[..., Said]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`vtrial ...` through its entry point, in this process, in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["vtrial", *map(str, arguments)])
        capsys.readouterr()
        status: object = 0
        try:
            app.main()
        except SystemExit as stop:
            status = stop.code or 0
        assert isinstance(status, int)
        return Said(status, *capsys.readouterr())

    return called


@pytest.fixture(scope="session")
def whole(posterior: Posterior, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Said]:
    """A folder that `vtrial run` wrote as a process of its own, in another working folder, given a path.

    Once a test run: the workers share it.
    """
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "elsewhere"
    with FileLock(f"{folder}.lock"):
        if not (folder / "said.json").exists():
            (folder / "asked").mkdir(parents=True)
            (folder / "asked" / "small.toml").write_text(SMALL)
            call = [*VTRIAL, "run", "asked/small.toml"]
            done = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
            (folder / "said.json").write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return folder / "results" / "small", Said(*json.loads((folder / "said.json").read_text()))


def everything_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


# Help


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ([], ["evidence", "fit", "run", "Start with vtrial run karmma"]),
        (["evidence"], ["[study]", "--system", "--use", "default: karmma"]),
        (["fit"], ["[study]", "--discount", "power prior"]),
        (["run"], ["{scenario}", "--trials", "--seed", "--out", "results/<scenario>", "manifest.json"]),
    ],
)
def test_help_is_worth_reading(call: Call, command: list[str], words: list[str]) -> None:
    said = call(*command, "--help")
    assert (said.status, said.err) == (0, "")
    text = re.sub(r"[\s│]+", " ", said.out)
    for word in words:
        assert word.lower() in text.lower(), said.out


def test_help_shows_its_texts_as_they_are_written(call: Call) -> None:
    """Each text of each command, what stands in brackets too: `[solve]` is no markup."""

    def inside(one: Any, *path: str) -> Iterator[tuple[tuple[str, ...], list[str]]]:
        texts = [inspect.getdoc(one.callback) or ""] if path and not getattr(one, "commands", None) else []
        yield path, [*texts, *(option.help for option in one.params if getattr(option, "help", None))]
        for name, command in getattr(one, "commands", {}).items():
            yield from inside(command, *path, name)

    brackets = 0
    for path, texts in inside(typer.main.get_command(app.app)):
        shown = re.sub(r"[\s│]+", " ", call(*path, "--help").out)
        for text in texts:
            for paragraph in text.split("\n\n"):
                brackets += "[" in paragraph
                assert " ".join(paragraph.split()) in shown, (path, paragraph)
    assert brackets >= 3


def test_no_command_shows_the_help(call: Call) -> None:
    said = call()
    assert said.status == 2
    assert "Commands" in said.out + said.err


@pytest.mark.parametrize(
    "arguments", [["run"], ["run", "karmma", "--trials", "many"], ["simulate"], ["fit", "--disc", "1"]]
)
def test_what_cannot_be_parsed_is_a_usage_error(call: Call, tmp_path: Path, arguments: list[str]) -> None:
    said = call(*arguments)
    assert said.status == 2
    assert "Error" in said.err
    assert "Traceback" not in said.err
    assert everything_in(tmp_path) == []


# Evidence and fit


def test_evidence_shows_a_system(call: Call) -> None:
    said = call("evidence", "--system", "crs")
    assert (said.status, said.err) == (0, "")
    head, *rows, count = said.out.splitlines()
    assert head.split() == ["fact", "published", "low", "-", "high", "unit", "population", "use", "source"]
    assert count == f"{len(rows)} facts"
    assert all(row.startswith("crs") for row in rows)
    by_fact = {row.split()[0]: row for row in rows}
    assert "52 of 54" in by_fact["crs.450"]
    assert re.search(r"\b1 +1 - 12 +days\b", by_fact["crs.onset.all"])
    assert "Table 2 (column grade 3 or 4, includes one grade 5)" in by_fact["crs3.all"]


def test_evidence_shows_everything_in_full_where_it_is_piped(call: Call) -> None:
    said = call("evidence")
    facts = [line.split()[0] for line in said.out.splitlines()[1:-1]]
    assert facts == [line.split(",")[0] for line in (ROOT / "priors/karmma/facts.csv").read_text().splitlines()[1:]]
    assert "…" not in said.out
    assert re.search(r"^dor\.cr +19\.0 +11\.3 - NR +months", said.out, re.MULTILINE)


def test_evidence_filters_by_use(call: Call) -> None:
    said = call("evidence", "--system", "response", "--use", "derived")
    assert [line.split()[0] for line in said.out.splitlines()[1:-1]] == [
        "orr.all",
        "orr.all.ci",
        "orr.all.p_value",
        "cr.all",
        "pr.all",
        "vgpr_or_better.all",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evidence", "karma"], "there is no study 'karma'; did you mean 'karmma'?"),
        (["evidence", "--system", "cars"], "study 'karmma' has no facts with system 'cars' (known: design, "),
        (["evidence", "--use", "train"], "has no facts with use 'train' (known: context, derived, fit, check)"),
        (["fit", "karma"], "there is no study 'karma'"),
        (["fit", "--discount", "2"], "discount is 2.0; a number from 0"),
        (["fit", "--discount", "nan"], "discount is nan; a number from 0"),
    ],
)
def test_evidence_and_fit_refuse(call: Call, arguments: list[str], words: str) -> None:
    assert call(*arguments).is_refusal(words)


def test_markup_in_facts_is_text(call: Call, tmp_path: Path) -> None:
    made = shutil.copytree(ROOT / "priors" / "karmma", tmp_path / "mine")
    text = (made / "facts.csv").read_text()
    (made / "facts.csv").write_text(text.replace('"Results, Safety",fit', '"Results [/b] [red]Safety :100:",fit'))
    assert "Results [/b] [red]Safety :100:" in call("evidence", "mine", "--system", "crs").out


def test_fit_prints_published_against_fitted_and_the_diagnostics(call: Call, posterior: Posterior) -> None:
    said = call("fit")
    assert said.status == 0
    assert re.search(r"450 +│ 44/54 +│ 81\.5% +│ \d\d\.\d% +│ \d\d\.\d% - \d\d\.\d% +│ \d\d\.\d% - \d\d\.\d%", said.out)
    line = " ".join(said.out.split())
    assert re.search(r"6,000 draws; R-hat at most 1\.00\d\d; .* 0 divergent transitions", line)
    assert re.search(r"moved against 2,000 simulated trials, by at most 0\.[12]\d posterior SD \([a-z_]+;", line)


# Run


def test_run_prints_the_answer_first_and_writes_the_folder(whole: tuple[Path, Said]) -> None:
    folder, said = whole
    assert said.status == 0, said.err
    lines = said.out.splitlines()
    assert lines[0] == "Small [bold]and[/bold] :smile:"
    assert lines[1] == "Does [this] stay as it is?"
    assert re.match(
        r"Response \(PR or better\) > 50% is shown with probability 0\.\d{4} \(±0\.\d{4}, exact 0", lines[3]
    )
    assert "results/small" in lines[-1]
    assert {path.name for path in folder.iterdir()} == set(FILES)
    table = pd.read_csv(folder / "characteristics.csv")
    assert [*table.columns] == list(COLUMNS)
    assert len(pd.read_parquet(folder / "trials.parquet")) == TRIALS
    assert (folder / "report.html").read_text().rstrip().endswith("</html>")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["scenario"], manifest["seed"], manifest["trials"]) == ("small", 5, TRIALS)
    assert "Traceback" not in said.err


HARDLY = """
[[arm]]
doses = { "300" = 1 }

[cohort]
enrolled = 1
attrition = 0.95

[[test]]
name = "long"
endpoint = "pfs"
null = 4
method = "log-rank"

[simulation]
trials = 400
endpoints = ["orr"]
"""


@pytest.mark.parametrize("attrition", [0.95, 0.99999])
def test_trials_without_patients_are_answered_too(
    call: Call, tmp_path: Path, posterior: Posterior, attrition: float
) -> None:
    """Nobody is infused in most trials, or in any: what is not estimable is NE for people, and empty in files."""
    (tmp_path / "hardly.toml").write_text(HARDLY.replace("0.95", str(attrition)))
    said = call("run", "hardly.toml", "--out", "out")
    assert said.status == 0, said
    assert re.search(r"pfs\.median\.q50 +(NR|NE) ", said.out), said.out
    assert re.search(r"orr\.rate +NE ", said.out), said.out
    table = (tmp_path / "out" / "characteristics.csv").read_text()
    page = re.sub(r"<script.*?</script>", "", (tmp_path / "out" / "report.html").read_text(), flags=re.DOTALL)
    assert ",orr.rate,,,,,NE," in table
    assert ">NE<" in page
    assert ("chart-survival-pfs" in page) == ("chart-patients" in page) == (attrition == 0.95)
    for shown in (said.out, page):
        assert not re.search(r"(?<![\w.])-?(inf|nan)(?![\w.])", shown, re.IGNORECASE)


def test_the_same_run_gives_the_same_bytes(whole: tuple[Path, Said], call: Call, tmp_path: Path) -> None:
    """Once a process of its own given the scenario's numbers, once in this one given them as options."""
    folder, _ = whole
    (tmp_path / "small.toml").write_text(SMALL.replace("seed = 5", "seed = 77").replace("trials = 300", "trials = 7"))
    said = call("run", "small.toml", "--seed", "5", "--trials", TRIALS, "--out", "again/deeper")
    assert said.status == 0, said.err
    again = tmp_path / "again" / "deeper"
    assert (again / "characteristics.csv").read_bytes() == (folder / "characteristics.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(again / "trials.parquet"), pd.read_parquet(folder / "trials.parquet"))
    other = call("run", "small.toml", "--seed", "6", "--trials", "300", "--out", "other")
    assert other.status == 0
    assert (tmp_path / "other" / "characteristics.csv").read_bytes() != (folder / "characteristics.csv").read_bytes()


def test_trials_and_seed_default_to_the_scenarios_own(whole: tuple[Path, Said]) -> None:
    folder, said = whole
    assert f"({TRIALS} trials;" in said.out
    trials = pd.read_csv(folder / "characteristics.csv").set_index(["metric", "method"])["trials"]
    assert trials["orr.reject", "simulated"] == TRIALS


def test_trials_without_a_response_are_answered_too(call: Call, tmp_path: Path, posterior: Posterior) -> None:
    """Nobody responds: duration of response is not estimable, its tests reject nothing, everything else is there."""
    tests = '[[test]]\nname = "long"\nendpoint = "dor"\nnull = 4\nmethod = "log-rank"\n'
    tests += '[[test]]\nname = "middle"\nendpoint = "dor"\nnull = 4\nmethod = "median"\n'
    (tmp_path / "none.toml").write_text("[world]\ntruth = { orr = 1e-6 }\n[cohort]\nenrolled = 10\n" + tests)
    said = call("run", "none.toml", "--trials", "200", "--out", "out")
    assert said.status == 0, said
    table = pd.read_csv(tmp_path / "out" / "characteristics.csv").set_index("metric")
    assert (table.loc[["long.reject", "middle.reject"], "estimate"].astype(float) == 0.0).all()
    assert (table.loc[["dor.median.q50", "dor.s6"], "status"] == "NE").all()
    assert table.loc[["dor.median.q50", "dor.s6"], "estimate"].isna().all()
    assert table.loc["pfs.median.q50", "estimate"] > 0  # type: ignore[operator]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "chart-survival-pfs" in page
    assert "chart-survival-dor" not in page


def test_what_is_not_reached_or_not_estimable_is_printed_as_such() -> None:
    assert [console.as_text(value) for value in (float("inf"), 21.16, 0.25, float("nan"))] == [
        "NR",
        "21.16",
        "0.2500",
        "",
    ]
    figures = {
        "metric": ["os.median.q50", "os.s18"],
        "estimate": [float("inf"), float("nan")],
        "mcse": [float("nan")] * 2,
    }
    table = console.as_table(pd.DataFrame(figures))
    assert list(table.columns[1].cells) == ["NR", "NE"]
    assert list(table.columns[2].cells) == ["", ""]


# Bad input: one line, status 2, nothing written


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["karma"],
            "there is no scenario 'karma'; did you mean 'karmma'? (known: accrual-and-drop-out, ",
        ),
        (["no/such.toml"], "there is no scenario 'no/such.toml'"),
        (["karmma", "--trials", "-1"], "scenarios/karmma.toml: [simulation] trials = -1: "),
        (["karmma", "--trials", "0"], "[simulation] trials = 0: "),
        (["karmma", "--seed", "-1"], "[simulation] seed = -1: input should be greater than or equal to 0"),
        (["karmma", "--seed", "4294967296"], "[simulation] seed = 4294967296: input should be less than 4294967296"),
        (["karmma", "--trials", "1000000000"], "1.4e+11 patient-trials, about 8 hours on two cores (at most 1e+11)"),
        (["karmma", "--trials", "-1", "--out", "a/b/c"], "[simulation] trials = -1: "),
    ],
)
def test_bad_options_are_refused_and_nothing_is_written(
    call: Call, tmp_path: Path, arguments: list[str], words: str
) -> None:
    assert call("run", *arguments).is_refusal(words)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("enrolled = 20", "enroled = 20", "[cohort] has no key 'enroled'; did you mean 'enrolled'?"),
        ("null = 0.5", "null = 5", "[[test]] 'orr' null = 5: "),
        ("null = 0.5", '"nu\\nll" = 0.5', "[[test]] 'orr' has no key 'nu\\nll'"),
        ("enrolled = 20", "enrolled = [", "not valid TOML: "),
        ('"300" = 1', '"600" = 1', "doses: 600 lies outside the studied 150 to 450"),
        ("orr = 0.65", "orr = 0.65, cr = 0.7", "truth.cr = 0.7 is above orr = 0.65"),
        ("[world]", '[world]\nstudy = "karma"', "there is no study 'karma'; did you mean 'karmma'?"),
        ('endpoint = "orr"', 'endpoint = "ttp"', "[[test]] 'orr' endpoint = 'ttp': "),
        ('endpoint = "orr"', 'endpoint = "pfs"', "[[test]] 'orr': method of \"pfs\" is one of log-rank, median"),
        (
            'endpoint = "orr"',
            'endpoint = "pfs"\nmethod = "normal"',
            '[[test]] \'orr\': method of "pfs" is one of log-rank, median, not "normal"',
        ),
        (
            'endpoints = ["orr"]',
            'endpoints = ["pfs"]\n[calendar]\ndata_cut = { month = 1 }',
            "[calendar] data_cut month = 1 is before the first possible infusion (month 1.3)",
        ),
        ("[cohort]", "[calendar]\naccrual_per_month = -3\n[cohort]", "[calendar] accrual_per_month = -3: "),
        ("[cohort]", "[calendar]\nvisits = [1, 3, 2]\n[cohort]", "visits must increase from above 0, but 2 follows 3"),
        ('"300" = 1', '"300" = 0', "[[arm]] 'one': doses must have a share above 0"),
        ("enrolled = 20", "enrolled = 0", "[cohort] enrolled = 0: "),
        (
            'endpoint = "orr"\nnull = 0.5',
            'endpoint = "pfs"\nmethod = "log-rank"\nnull = 0',
            "[[test]] 'orr' null = 0: input should be greater than 0",
        ),
        ("orr = 0.65", "pfs_median = 1e-9", "truth.pfs_median = 1e-09 months cannot be reached"),
        ('endpoint = "orr"', 'endpoint = "orr"\nafter = "orr"', "tests wait for each other in a cycle: orr"),
    ],
)
def test_a_bad_scenario_is_refused_and_nothing_is_written(
    call: Call, tmp_path: Path, posterior: Posterior, old: str, new: str, words: str
) -> None:
    assert SMALL.count(old) == 1
    file = tmp_path / "[bad].toml"
    file.write_text(SMALL.replace(old, new))
    assert call("run", "[bad].toml", "--out", "made/for/it").is_refusal(words)
    assert everything_in(tmp_path) == [file]


def test_a_bad_scenario_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("[cohort]\nenroled = 3\n")
    done = subprocess.run(
        [*VTRIAL, "run", "bad.toml"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "error: bad.toml: [cohort] has no key 'enroled'; did you mean 'enrolled'? "
        "(allowed: enrolled, infused, attrition, mix)\n"
    )
    assert [path.name for path in everything_in(tmp_path)] == ["bad.toml"]


@pytest.mark.parametrize("out", ["taken", "taken/inside", "taken/further/inside", None])
def test_a_folder_that_cannot_be_written_is_refused_at_once(call: Call, tmp_path: Path, out: str | None) -> None:
    """Where a file is in the way; also that of the default folder."""
    taken = tmp_path / ("taken" if out else "results")
    taken.write_text("a file\n")
    said = call("run", "karmma", *(["--out", out] if out else []))
    assert said.is_refusal("cannot write into ", "give another folder with --out")
    assert "simulating" not in said.err
    assert everything_in(tmp_path) == [taken]
    assert taken.read_text() == "a file\n"


def test_a_reader_who_stops_reading_loses_no_file(tmp_path: Path, posterior: Posterior) -> None:
    """As `vtrial run ... | head` does."""
    (tmp_path / "small.toml").write_text(SMALL)
    command = [*VTRIAL, "run", "small.toml", "--trials", "50", "--out", "mine"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert {path.name for path in (tmp_path / "mine").iterdir()} == set(FILES)


def test_a_failure_leaves_the_folder_that_was_there(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert call("run", "karmma", "--trials", "-1", "--out", "mine/new").is_refusal()
    assert everything_in(tmp_path) == [tmp_path / "mine"]


# Interrupted


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`vtrial run ...` as a process of its own that ends with the test."""
    processes: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        processes.append(
            subprocess.Popen(
                [*VTRIAL, "run", *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def until(happened: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait for something; fail where it does not happen."""
    ends = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < ends, "what the test waits for did not happen"
        time.sleep(0.002)


def test_ctrl_c_ends_a_long_run_at_once_and_leaves_an_earlier_answer_whole(
    started: Callable[..., subprocess.Popen[str]], whole: tuple[Path, Said], tmp_path: Path
) -> None:
    folder = shutil.copytree(whole[0], tmp_path / "out")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    process = started("karmma", "--trials", "3000000", "--out", "out")
    assert process.stderr is not None
    assert any(line.startswith("simulating") for line in process.stderr)
    time.sleep(0.5)
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 5.0
    assert process.returncode == 130
    assert out == ""
    assert err.splitlines()[-1] == "error: interrupted; nothing half-written was left"
    assert "Traceback" not in err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_ctrl_c_that_a_callback_swallows_still_ends_the_run(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def swallowing(*_: object, progress: Callable[[str, int, int], None], **__: object) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
            time.sleep(1)
        progress("simulating", 1, 10)
        pytest.fail("the run went on")

    monkeypatch.setattr(running, "run", swallowing)
    said = call("run", "karmma", "--out", "out")
    assert (said.status, said.err) == (130, "error: interrupted; nothing half-written was left\n")


def test_ctrl_c_leaves_no_empty_folders(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        assert everything_in(tmp_path) == [], "a process killed now would leave it"
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", interrupted)
    said = call("run", "karmma", "--out", "deep/out")
    assert (said.status, said.err) == (130, "error: interrupted; nothing half-written was left\n")
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("before", [True, False])
def test_ctrl_c_in_the_middle_of_a_file_leaves_the_folder_as_it_was(
    call: Call, whole: tuple[Path, Said], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    def interrupted(_: pd.DataFrame, path: Path, **__: object) -> None:
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    if before:
        shutil.copytree(whole[0], tmp_path / "out")
        (tmp_path / "out" / "notes.txt").write_text("mine")
    earlier = {path: path.read_bytes() for path in everything_in(tmp_path) if path.is_file()}
    (tmp_path / "small.toml").write_text(SMALL)
    monkeypatch.setattr(pd.DataFrame, "to_parquet", interrupted)
    said = call("run", "small.toml", "--seed", "6", "--out", "out")
    assert said.status == 130
    assert said.err.splitlines()[-1] == "error: interrupted; nothing half-written was left"
    (tmp_path / "small.toml").unlink()
    assert {path: path.read_bytes() for path in everything_in(tmp_path) if path.is_file()} == earlier
    assert everything_in(tmp_path) == ([tmp_path / "out", *earlier] if before else [])


def test_kill_9_leaves_the_earlier_answer_and_the_next_run_sweeps(
    started: Callable[..., subprocess.Popen[str]], call: Call, whole: tuple[Path, Said], tmp_path: Path
) -> None:
    """Killed between the first file and the last; every step of the swap is in tests/test_folders.py."""
    folder = shutil.copytree(whole[0], tmp_path / "out")
    (tmp_path / "small.toml").write_text(SMALL)
    process = started("small.toml", "--seed", "6", "--out", "out")
    until(lambda: any(folder.glob(".vtrial-*/characteristics.csv")) or process.poll() is not None)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    assert process.returncode == -signal.SIGKILL, "it ended before it was killed: the test would test nothing"
    assert vtrial.load_result(folder).manifest["seed"] == 5
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} == set(FILES)
    assert call("run", "small.toml", "--seed", "7", "--trials", "20", "--out", "out").status == 0
    assert {path.name for path in folder.iterdir()} == set(FILES)
    assert vtrial.load_result(folder).manifest["seed"] == 7
