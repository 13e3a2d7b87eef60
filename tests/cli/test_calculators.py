"""vtrial design ...: the numbers of each calculator, as a table and as JSON, and one line for bad input."""

import json
import subprocess
import sys

import pytest

from vtrial.cli import app


def design(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Status, output and errors of `vtrial design ...`."""
    monkeypatch.setattr(sys, "argv", ["vtrial", "design", *words])
    status: object = 0
    try:
        app.main()
    except SystemExit as end:
        status = end.code
    out, err = capsys.readouterr()
    return int(str(status or 0)), out, err


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    return lambda words: design(capsys, monkeypatch, *words.split())


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


SIMON = "simon --null .2 --alternative .4 --alpha .05 --power .8"


def test_simon(run) -> None:
    status, out, _ = run(SIMON)
    assert status == 0
    head, *lines = rows(out)
    assert head == ["design", "r1", "n1", "r", "n", "expected_n", "pet", "alpha", "power"]
    assert lines[0] == ["optimal", "3", "13", "12", "43", "20.58", "0.7473", "0.0496", "0.8002"]
    assert lines[-1][:7] == ["minimax", "4", "18", "10", "33", "22.25", "0.7164"]
    assert all(line[0] == "admissible" for line in lines[1:-1])


def test_simon_for_programs(run) -> None:
    found = json.loads(run(f"{SIMON} --json")[1])
    assert list(found["optimal"]) == ["r1", "n1", "r", "n", "expected_n", "pet", "alpha", "power"]
    assert found["optimal"]["expected_n"] == pytest.approx(20.5803, abs=1e-4)
    assert found["minimax"]["n"] == 33
    assert [one["n"] for one in found["admissible"]] == [38]


def test_one_sample(run) -> None:
    _, out, _ = run("one-sample --null .5 --alternative .65 --alpha .025 --power .9")
    assert rows(out)[1] == ["exact", "first", "114", "68", "0.9015", "0.0244"]
    assert rows(out)[2][:3] == ["exact", "lasting", "121"]
    assert [row[0] for row in rows(out)[3:5]] == ["normal", "normal"]
    found = json.loads(run("one-sample --null .5 --alternative .65 --alpha .025 --n 128 --method exact --json")[1])
    assert found == {
        "exact": {"n": 128, "critical": 76, "power": pytest.approx(0.9220, abs=5e-5), "size": found["exact"]["size"]}
    }
    _, out, _ = run("one-sample --null .1 --alternative .2 --n 128")
    assert rows(out)[1][:3] == ["exact", "128", "21"]


def test_predictive(run) -> None:
    words = "predictive --null .2 --alternative .4 --n 36 --first 10 --prior .2,.8 --futility .001 --final .9"
    _, out, _ = run(words)
    assert rows(out)[1:12] == [[str(n), str(x)] for x, n in enumerate((10, 17, 21, 24, 27, 29, 31, 33, 34, 35, 36))]
    assert "Success at the end: 11 or more of 36." in out
    assert rows(out)[-2] == ["0.2000", "0.0878", "27.67", "0.8571"]
    found = json.loads(run(f"{words} --json")[1])
    assert found["critical"] == 11
    assert len(found["looks"]) == len(found["futility"]) == 27
    mixed = json.loads(run(words.replace(".2,.8", ".5,.2,.8;.5,.2,.8") + " --json")[1])
    assert mixed["futility"] == found["futility"]


def test_spending(run) -> None:
    _, out, _ = run("spending --looks 64,128 --alpha .025 --kind obrien-fleming --null .5 --alternative .65")
    assert rows(out)[1] == ["64", "0.5000", "2.9626", "0.001525", "45", "-", "0.000781"]
    assert rows(out)[2] == ["128", "1.0000", "1.9686", "0.025000", "76", "75", "0.021057"]
    assert rows(out)[-1] == ["0.6500", "0.9222", "113.57"]
    _, out, _ = run("spending --looks 64,128 --null .5 --alternative .65 --method normal")
    assert [row[4:] for row in rows(out)[1:3]] == [["44", "-", "0.001845"], ["76", "75", "0.021536"]]
    assert rows(out)[-1] == ["0.6500", "0.9227", "107.97"]
    found = json.loads(run("spending --looks 1,2,3 --kind pocock-classical --json")[1])
    assert found["futility"][:2] == [None, None]
    assert found["efficacy"][0] == found["efficacy"][2]
    _, out, _ = run("spending --looks .5,1 --beta .1 --beta-kind pocock --drift 3.2")
    assert "Power at a drift of 3.2: 0.8" in out
    _, out, _ = run("spending --looks 64,128 --null .5 --alternative .65 --beta .1 --beta-kind pocock --method exact")
    assert "never stops for futility" in out


# Peers' sizes of rpact's bounds (3.3.4), by an exact binomial recursion in R of their own: shared/peers_cases.md.
@pytest.mark.parametrize(
    ("words", "size"),
    [
        ("--looks 20,50 --null .1 --kind pocock", 0.05747627),
        ("--looks 30,60,90 --null .2 --kind hwang-shih-decani --gamma -4", 0.03248244),
        ("--looks 33,66,99 --null .3 --kind pocock-classical", 0.03143258),
    ],
)
def test_a_size_above_alpha_is_said_and_the_exact_method_is_the_default(run, words: str, size: float) -> None:
    """Before, the default was normal: a size of 0.0575 stood under "alpha spent 0.025"."""
    status, out, err = run(f"spending {words} --method normal")
    assert f"The exact size is {size:.4f}, above alpha = 0.025" in out
    assert (status, err) == (0, "")
    _, out, err = run(f"spending {words} --method normal --json")
    assert json.loads(out)["alpha"] == pytest.approx(size, abs=1e-6)
    assert f"warning: The exact size is {size:.4f}" in err
    for options in ("", " --method exact"):
        _, out, err = run(f"spending {words} --json{options}")
        assert json.loads(out)["alpha"] <= 0.025
        assert err == ""
        assert "above alpha" not in run(f"spending {words}{options}")[1]


def test_the_normal_test_of_one_look_says_its_size_too(run) -> None:
    _, out, _ = run("one-sample --null .1 --alternative .2 --n 128")
    assert "The exact size of the normal test is above alpha = 0.025: 0.0298 at 128." in out
    assert "above alpha" not in run("one-sample --null .1 --alternative .2 --n 128 --method exact")[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("simon --null .4 --alternative .2", "the alternative must be above the null"),
        ("one-sample --null .5 --alternative .65 --method mid-p", "allowed: exact, normal"),
        (
            "predictive --null .2 --alternative .4 --n 36 --first 10 --prior x --futility .1 --final .9",
            "--prior is 'x'",
        ),
        ("predictive --null .2 --alternative .4 --n 36 --first 10 --prior 1 --futility .1 --final .9", "prior is"),
        ("spending --looks 128,64", "--looks is '128,64'"),
        ("spending --looks 64,128 --kind of", "kind is 'of'"),
        ("spending --looks 64,128 --alternative .6", "it goes with --null"),
        ("spending --looks 64,128 --null .5 --drift 3", "give --alternative"),
        ("spending --looks .5,1 --null .5", "whole numbers"),
        ("spending --looks 64,128 --method exact", "--method is how counts spend alpha: it goes with --null"),
        ("spending --looks 46,64 --null .7 --alternative .9 --beta .2 --beta-kind obrien-fleming --binding", "meets"),
        ("spending --looks 64,128 --kind hwang-shih-decani", "needs a gamma"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, words: str, message: str) -> None:
    status, out, err = run(words)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1
    assert message in err


def test_calculators_need_no_jax_no_pandas() -> None:
    code = (
        "import sys; sys.modules['jax'] = sys.modules['pandas'] = None\n"
        "from vtrial.cli import calculators\n"
        "assert not {'numpy', 'scipy'} & set(sys.modules)\n"
        "calculators.app(['spending', '--looks', '64,128', '--null', '.5', '--json'], standalone_mode=False)\n"
        f"calculators.app({SIMON.split()!r}, standalone_mode=False)\n"
        "calculators.app('predictive --null .2 --alternative .4 --n 36 --first 10 --futility .1 --final .9'.split(),"
        " standalone_mode=False)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
