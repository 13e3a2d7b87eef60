"""What all tests share: one fit a run, strict dtype promotion, one instruction set, a cache inside the checkout."""

import os

from tests import ROOT

os.environ.setdefault("VTRIAL_CACHE", str(ROOT / ".cache" / "vtrial"))
os.environ.setdefault("PYTENSOR_FLAGS", f"base_compiledir={ROOT / '.cache' / 'pytensor'}")

from tests.snapshots.fingerprint import capped, fingerprint

os.environ["XLA_FLAGS"] = capped(os.environ.get("XLA_FLAGS", ""))

import jax
import pytest
from filelock import FileLock
from hypothesis import settings

import vtrial
from tests.snapshots import comparing, keeping
from vtrial._support import paths
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.workflows.compiled_programs import keep_compiled_programs
from vtrial.workflows.result import Result

jax.config.update("jax_numpy_dtype_promotion", "strict")
keep_compiled_programs()
settings.register_profile("vtrial", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("vtrial")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots", action="store_true", help="keep what today's code gives, in place of what was kept"
    )


def pytest_report_header(config: pytest.Config) -> str:
    """How kept numbers are compared on this machine."""
    if config.getoption("update_snapshots"):
        return "snapshots: made anew"
    return f"snapshots: compared {comparing.mode_of(keeping.kept_fingerprint(), fingerprint())}"


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    """KarMMa's facts and priors."""
    return vtrial.load_evidence("karmma")


@pytest.fixture(scope="session")
def posterior(evidence: Evidence) -> Posterior:
    """KarMMa's posterior: fitted once a run, by whichever worker comes first; and that of scenarios without times."""
    paths.cache_folder().mkdir(parents=True, exist_ok=True)
    with FileLock(paths.cache_folder() / "fit.lock"):
        vtrial.fit(evidence.without("survival"))
        return vtrial.fit(evidence)


@pytest.fixture(scope="session")
def karmma_result(posterior: Posterior) -> Result:
    """The scenario karmma, 2,000 trials."""
    return vtrial.run("karmma", trials=2000)


@pytest.fixture(scope="session")
def sample_size_result(posterior: Posterior) -> Result:
    """The scenario karmma-sample-size, 500 trials a cell."""
    return vtrial.run("karmma-sample-size", trials=500)
