"""Closed, full and ASCII terminals: one line, the right status, nothing lost; and no word of a library's."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT

SIMON = ["design", "simon", "--null", "0.1", "--alternative", "0.3", "--max-n", "40"]
FULL = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")


def shell(command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    settings = {key: value for key, value in os.environ.items() if not key.startswith(("LC_", "LANG", "PYTHON", "TF_"))}
    settings |= {"PYTHONPATH": str(ROOT), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | environment
    return subprocess.run(["sh", "-c", command], env=settings, capture_output=True, text=True, timeout=300, check=False)


def vtrial(*arguments: str) -> str:
    return " ".join(["python", "-m", "vtrial.cli", *arguments])


@pytest.mark.parametrize(
    ("arguments", "redirected", "reason"),
    [
        pytest.param(SIMON, ">/dev/full", "No space left on device", marks=FULL, id="table"),
        pytest.param([*SIMON, "--json"], ">&-", "it is closed", id="json"),
        pytest.param(["design", "--help"], ">/dev/full", "No space left on device", marks=FULL, id="help"),
    ],
)
def test_a_print_that_fails_is_one_line_and_status_1(arguments: list[str], redirected: str, reason: str) -> None:
    done = shell(f"{vtrial(*arguments)} {redirected}")
    assert (done.returncode, done.stderr) == (1, f"error: standard output cannot be written: {reason}\n")


@FULL
def test_standard_error_that_is_full_or_closed_changes_nothing() -> None:
    assert shell(f"{vtrial('design', 'simon', '--null', '2', '--alternative', '.3')} 2>/dev/full").returncode == 2
    done = shell(f"{vtrial(*SIMON)} 2>&-")
    assert done.returncode == 0
    assert "optimal" in done.stdout


@pytest.mark.parametrize(
    "environment",
    [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, {"LANG": "C"}],
    ids=["PYTHONIOENCODING", "LC_ALL", "LANG"],
)
def test_an_ascii_terminal_gets_ascii(environment: dict[str, str]) -> None:
    code = (
        "import sys; from vtrial.cli import app as cli, console\n"
        "@cli.app.command()\n"
        "def say():\n"
        "    console.out.print('0.5 \\u00b10.1, \\u2265 3, na\\u00efve \\u4e2d')\n"
        "    console.print_json({'a': '\\u00b1'})\n"
        "sys.argv = ['vtrial', 'say']; cli.main(); sys.argv = ['vtrial', 'run', '--help']; cli.main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    ascii_alone = "LANG" not in environment  # Python takes LANG=C for UTF-8
    first, *rest = done.stdout.decode("ascii" if ascii_alone else "utf-8").splitlines()
    assert first == ("0.5 +/-0.1, >= 3, naive ?" if ascii_alone else "0.5 \u00b10.1, \u2265 3, na\u00efve \u4e2d")
    assert rest[:3] == ["{", '  "a": "\\u00b1"' if ascii_alone else '  "a": "\u00b1"', "}"]


def test_warnings_of_libraries_do_not_reach_the_terminal() -> None:
    code = (
        "import logging, sys, warnings; from vtrial.cli import app as cli\n"
        "@cli.app.command()\n"
        "def say():\n"
        "    warnings.warn('slow compilation'); logging.getLogger('jax').warning('no cache')\n"
        "    import os; print(os.environ['TF_CPP_MIN_LOG_LEVEL'])\n"
        "sys.argv = ['vtrial', 'say']; cli.main()\n"
    )
    done = shell(f'python -c "{code}"')
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n", "")
