"""priors.toml: every prior has its reason, and what cannot be used is refused with file and key."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import ROOT
from vtrial import InputError
from vtrial.evidence import Evidence, correlation_matrix, load
from vtrial.model.dose_response import DOSED, STEPS_OF, Step
from vtrial.model.parameters import Rate
from vtrial.model.vocabulary import LATENTS, correlation_names

KARMMA = ROOT / "priors" / "karmma"


def _with(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert text.count(old) >= 1, f"nothing says {old!r}: the test would test nothing"
        return text.replace(old, new, 1)

    return change


def _section(name: str, line: str, new: str) -> Callable[[str], str]:
    """Replace one line of one section."""

    def change(text: str) -> str:
        before, after = text.split(f"[{name}]\n", 1)
        assert line in after.split("\n[", 1)[0]
        return f"{before}[{name}]\n{after.replace(line, new, 1)}"

    return change


def test_karmmas_priors(evidence: Evidence) -> None:
    priors = evidence.priors
    assert (priors.dose.reference, priors.dose.unit) == (300.0, "1e6 CAR+ T cells")
    needed = {step.name.lower() for system in evidence.systems for step in STEPS_OF[system]}
    assert set(priors.intercept) == needed == {step.name.lower() for step in Step}
    assert (
        set(priors.correlation)
        == set(correlation_names())
        == {
            "response~crs",
            "response~neurotoxicity",
            "crs~neurotoxicity",
        }
    )


def test_every_prior_has_a_reason(evidence: Evidence) -> None:
    priors = evidence.priors
    assert priors.visits is not None
    assert priors.calendar is not None
    entries = [*priors.intercept.values(), priors.slope, *priors.correlation.values(), *priors.survival.values()]
    assert len(entries) == len(Step) + 1 + 3 + len(Rate)
    entries += [priors.visits, priors.visits.missed, priors.visits.new_therapy, priors.calendar.infusion_delay]
    for entry in entries:
        assert len(entry.reason.split()) >= 3, entry


def test_the_slopes_share_one_fixed_scale_centred_at_no_effect(evidence: Evidence) -> None:
    """DESIGN.md, section 2: slopes on dose with a common prior of stated, fixed scale."""
    assert evidence.priors.slope.mean == 0.0
    assert "2.5" in evidence.priors.slope.reason
    assert evidence.priors.slope.sd == 2.5
    assert Step.INFUSED not in DOSED
    assert Step.VGPR not in DOSED


REFUSED: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "unknown key": (
        _section("slope", "sd = 2.5", "sd = 2.5\nsdd = 1"),
        ("[slope] has no key 'sdd'; did you mean 'sd'? (allowed: mean, sd, reason)",),
    ),
    "unknown section": (
        lambda text: text + '\n[slopes]\nmean = 0\nsd = 1\nreason = "no such thing"\n',
        ("the file has no key 'slopes'; did you mean 'slope'?",),
    ),
    "unknown step": (
        _with("[intercept.response]", "[intercept.respons]"),
        ("[intercept]", "there is no step 'respons' (allowed: infused, response, cr, "),
    ),
    "unknown pair": (
        _with('[correlation."response~crs"]', '[correlation."crs~response"]'),
        ("[correlation] has no 'crs~response' (allowed: response~crs, ",),
    ),
    "reason missing": (
        lambda text: re.sub(r'(\[slope\]\nmean = 0.0\nsd = 2.5\n)reason = ".*"\n', r"\1", text),
        ("[slope] reason is missing",),
    ),
    "reason empty": (
        lambda text: re.sub(r'(\[slope\]\nmean = 0.0\nsd = 2.5\n)reason = ".*"\n', r'\1reason = ""\n', text),
        ("[slope] reason = ''", "at least 10 characters"),
    ),
    "sd negative": (_section("slope", "sd = 2.5", "sd = -2.5"), ("[slope] sd = -2.5", "greater than 0")),
    "sd zero": (_section("intercept.cr", "sd = 1.5", "sd = 0"), ("[intercept] cr.sd = 0", "greater than 0")),
    "sd infinite": (_section("slope", "sd = 2.5", "sd = inf"), ("[slope] sd = inf", "finite")),
    "mean not a number": (_section("slope", "mean = 0.0", "mean = nan"), ("[slope] mean = nan", "finite")),
    "number in quotes": (_section("slope", "sd = 2.5", 'sd = "2.5"'), ("[slope] sd = '2.5'", "a valid number")),
    "truth value for a number": (_section("slope", "mean = 0.0", "mean = true"), ("[slope] mean = True",)),
    "number for a table": (_section("slope", "mean = 0.0", "mean = { a = 1 }"), ("[slope] mean = {'a': 1}",)),
    "dose below zero": (_with("reference = 300", "reference = -300"), ("[dose] reference = -300", "greater than 0")),
    "section missing": (_with("[dose]\n", "[sum2]\n"), ("the file has no key 'sum2'; did you mean 'sum'?",)),
    "prior of a needed step missing": (
        lambda text: re.sub(r"\[intercept\.crs3\]\n(.+\n)+", "", text),
        ("[intercept.crs3] is missing, and the facts need it",),
    ),
    "prior of a needed rate missing": (
        lambda text: re.sub(r"\[survival\.shape\]\n(.+\n)+", "", text),
        ("[survival.shape] is missing, and the facts need it",),
    ),
    "visits missing": (
        lambda text: re.sub(r"\[visits(\.\w+)?\]\n(.+\n)+", "", text),
        ("[visits] is missing, and the facts need it",),
    ),
    "calendar missing": (
        lambda text: re.sub(r"\[calendar\.\w+\]\n(.+\n)+", "", text),
        ("[calendar] is missing, and the facts need it",),
    ),
    "correlation above 1": (
        _section('correlation."crs~neurotoxicity"', "value = 0.5", "value = 1.5"),
        ("[correlation] crs~neurotoxicity.value = 1.5", "less than 1"),
    ),
    "correlations that make no matrix": (
        lambda text: _section('correlation."crs~neurotoxicity"', "value = 0.5", "value = -0.9")(
            _section('correlation."response~crs"', "value = 0.2", "value = 0.9")(
                _section('correlation."response~neurotoxicity"', "value = 0.1", "value = 0.9")(text)
            )
        ),
        ("[correlation] these values together are no correlation matrix",),
    ),
    "sum of nothing": (lambda text: text + '"mrd.not_evaluable.all2" = []\n', ("[sum] mrd.not_evaluable.all2",)),
    "sum of a number": (lambda text: text + '"pr.all" = 27\n', ("[sum] pr.all = 27",)),
    "no TOML": (lambda text: text + "\n[slope\n", ("not valid TOML: ",)),
    "empty": (lambda text: "", ("title is missing; citation is missing; doi is missing; ",)),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_bad_priors_are_refused(tmp_path: Path, kind: str) -> None:
    change, said = REFUSED[kind]
    folder = shutil.copytree(KARMMA, tmp_path / "study")
    file = folder / "priors.toml"
    changed = change(file.read_text(encoding="utf-8"))
    assert changed != (KARMMA / "priors.toml").read_text(encoding="utf-8")
    file.write_text(changed, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load(folder)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert "\n" not in message
    for words in said:
        assert words in message, message


def test_a_study_without_priors_is_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(KARMMA, tmp_path / "study")
    (folder / "priors.toml").unlink()
    with pytest.raises(InputError, match=r"priors\.toml: cannot be read"):
        load(folder)


def test_priors_in_no_known_encoding_are_refused(tmp_path: Path) -> None:
    folder = shutil.copytree(KARMMA, tmp_path / "study")
    (folder / "priors.toml").write_bytes(b'title = "caf\xe9"\n')
    with pytest.raises(InputError, match=r"priors\.toml: cannot be read .*utf-8"):
        load(folder)


def test_a_correlation_matrix_holds_what_is_named_and_zeros() -> None:
    matrix = correlation_matrix({"response~crs": 0.3, "crs~neurotoxicity": -0.4}, "here")
    assert LATENTS == ("response", "crs", "neurotoxicity")
    np.testing.assert_array_equal(matrix, [[1, 0.3, 0], [0.3, 1, -0.4], [0, -0.4, 1]])
    with pytest.raises(InputError, match=r"^here: "):
        correlation_matrix({"response~crs": 0.9, "response~neurotoxicity": 0.9, "crs~neurotoxicity": -0.9}, "here")
