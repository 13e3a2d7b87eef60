"""The wheel: built, installed into a fresh environment, and run from another folder."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from tests import ROOT


def call(*command: object, **options) -> str:
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def uv() -> str:
    """uv, as the Makefile installed it, or the user's own."""
    own = ROOT / ".cache" / "uv" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    assert found, "uv is needed to build and install the wheel: make setup"
    return found


@pytest.fixture(scope="module")
def wheel(uv, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(uv, "build", "--quiet", "--wheel", "--python", sys.executable, "--out-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_carries_what_it_needs_and_no_more(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "vtrial/py.typed" in names
    assert "vtrial/shipped/priors/karmma/facts.csv" in names
    assert "vtrial/shipped/priors/karmma/priors.toml" in names
    shipped = {Path(n).name for n in names if n.startswith("vtrial/shipped/scenarios/")}
    assert shipped == {p.name for p in (ROOT / "scenarios").glob("*.toml")}
    tops = {n.split("/")[0] for n in names}
    assert tops == {"vtrial", next(t for t in tops if t.endswith(".dist-info"))}
    assert not [n for n in names if "__pycache__" in n or n.endswith((".nc", ".parquet"))]
    assert any(n.endswith("licenses/LICENSE") for n in names)


def test_it_installs_into_a_fresh_environment_and_runs_elsewhere(uv, wheel, posterior, tmp_path):
    environment, elsewhere = tmp_path / "venv", tmp_path / "elsewhere"
    elsewhere.mkdir()
    call(uv, "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / "bin" / "python"
    # the locked versions, so that the posterior that this test run has already fitted is found
    lock = ROOT / "requirements.lock"
    call(uv, "pip", "install", "--quiet", "--python", python, "--constraint", lock, wheel)
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    printed = call(environment / "bin" / "vtrial", "run", "karmma", "--trials", "300", cwd=elsewhere, env=clean)
    assert "is shown with probability" in printed
    table = pd.read_csv(elsewhere / "results" / "karmma" / "characteristics.csv")
    assert {"orr.reject", "cr.reject"} <= set(table["metric"])
    where = call(python, "-c", "import vtrial; print(vtrial.__file__)", cwd=elsewhere, env=clean)
    assert str(environment) in where
