"""What comes when vtrial is imported, what its public names are, and how long a file is."""

import subprocess
import sys
from pathlib import Path

import pytest

import vtrial

PACKAGE = Path(vtrial.__file__).parent
HEAVY = {"pymc", "pytensor", "nutpie", "arviz", "pandas", "xarray", "scipy", "pydantic", "altair", "pathlib"}


def test_the_simulation_runs_where_only_jax_and_numpy_are():
    blocked = sorted(HEAVY - {"pathlib"})
    code = (
        "import sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        "import numpy as np\nfrom vtrial.engine import run as engine\n"
        "from vtrial.trial.spec import Numbers, Plan\nfrom vtrial.model.world import World\n"
        "from vtrial.model.dose_response import Step\n"
        "plan = Plan(50, 'enrolled', 'random', ('orr', 'crs3'), ())\n"
        "numbers = Numbers(np.int32(50), np.zeros(1, np.float32), np.ones(1, np.float32), "
        "np.eye(3, dtype=np.float32), np.float32(0), {})\n"
        "world = World(np.zeros((1, len(Step))), np.zeros((1, len(Step))))\n"
        "out = engine.simulate(plan, numbers, world, seed=1, trials=2000)\n"
        "print(out.counts['orr'].mean() / out.infused.mean())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert abs(float(done.stdout) - 0.5) < 0.01


def test_a_scenario_is_checked_without_an_array_library():
    """A typo is answered at once: JAX, pandas and SciPy take seconds to come."""
    code = (
        "import sys\nfrom vtrial.scenario import load_scenario\nload_scenario('hierarchical-with-interim')\n"
        "heavy = {'jax', 'numpy', 'pandas', 'scipy', 'xarray', 'pyarrow', 'altair'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_importing_and_running_never_import_pymc(posterior, tmp_path):
    code = (
        "import sys, vtrial\n"
        "heavy = {'pymc', 'pytensor', 'nutpie', 'arviz', 'jax', 'pandas', 'altair'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.argv = ['vtrial', 'run', 'karmma', '--trials', '300', '--out', sys.argv[1]]\n"
        "from vtrial.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'pymc', 'pytensor', 'nutpie'} & set(sys.modules)\n"
        "print('kept out')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("kept out\n")


def test_no_public_name_is_also_a_submodule():
    submodules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not set(vtrial.__all__) & submodules
    for name in vtrial.__all__:
        assert getattr(vtrial, name) is not None
    assert dir(vtrial) == sorted([*vtrial.__all__, "__version__"])
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        vtrial.rum  # noqa: B018


def test_public_functions_have_docstrings():
    for name in vtrial.__all__:
        assert (getattr(vtrial, name).__doc__ or "").strip(), name


def test_no_file_is_two_rooms():
    for file in PACKAGE.rglob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 320, file
