"""Scenarios: what is shipped loads, what is left out has its default, what cannot be is refused in one line;
sweeps lay out their cells; a stated truth holds exactly."""

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit

import vtrial
from tests import ROOT
from vtrial import InputError
from vtrial._support import paths
from vtrial.evidence import Evidence
from vtrial.model.dose_response import Step
from vtrial.model.posterior import Posterior
from vtrial.model.world import World
from vtrial.protocol.build import Protocol, prepare
from vtrial.protocol.truth import fixed, posterior_mean
from vtrial.scenario import Scenario, check_cost, from_dict, load_scenario

SHIPPED = ROOT / "scenarios"

# One arm, one test, nothing else.
PLAIN = """
[[arm]]
name = "one"

[[test]]
name = "orr"
endpoint = "orr"
null = 0.5
"""
CR = """
[[test]]
name = "cr"
endpoint = "cr"
null = 0.1
"""


def read(text: str) -> Scenario:
    return from_dict(tomllib.loads(text), where="scenarios/x.toml")


def refusal(text: str) -> str:
    """What the refusal of a scenario says after the file's name."""
    with pytest.raises(InputError) as caught:
        read(text)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("scenarios/x.toml: ")
    return message.removeprefix("scenarios/x.toml: ")


def protocol_of(text: str, evidence: Evidence, posterior: Posterior) -> Protocol:
    return prepare(read(text).cells[0], evidence, posterior, where="scenarios/x.toml")


# What is shipped


@pytest.mark.parametrize("file", sorted(SHIPPED.glob("*.toml")), ids=lambda file: file.stem)
def test_every_shipped_scenario_loads(file: Path) -> None:
    scenario = load_scenario(file)
    assert scenario.name == file.stem
    assert scenario.design.title
    assert scenario.design.question.endswith("?")
    orr, cr = ("orr", "normal", 0.5), ("cr", "normal", 0.1)
    exact = ("orr", "exact", 0.5)
    tests = {
        "accrual-and-drop-out": [orr],
        "crs-stopping": [],
        "extramedullary": [exact, ("cr", "exact", 0.1)],
        "futility-predictive-probability": [exact],
        "group-sequential-orr": [orr],
        "pfs-benchmark": [("pfs", "median", 4.0), ("pfs", "log-rank", 4.0)],
        "pfs-benchmark-with-interim": [("pfs", "log-rank", 4.0)],
        "simon-two-stage": [("orr", "count", 0.5)],
    }
    expected = tests.get(file.stem, [orr, cr])
    found = scenario.design.ordered_tests()
    assert [(test.endpoint, test.method, test.null) for test in found] == expected
    assert all(test.after == "orr" for test in found if test.endpoint == "cr")
    assert load_scenario(file.stem).sha256 == scenario.sha256


def test_the_shipped_scenarios_are_these() -> None:
    assert paths.scenarios() == [
        "accrual-and-drop-out",
        "crs-stopping",
        "dose-450",
        "extramedullary",
        "follow-up",
        "futility-predictive-probability",
        "group-sequential-orr",
        "hierarchical-with-interim",
        "karmma",
        "karmma-sample-size",
        "karmma-type-one-error",
        "next-trial",
        "pfs-benchmark",
        "pfs-benchmark-with-interim",
        "simon-two-stage",
    ]


def test_what_the_shipped_scenarios_sweep() -> None:
    def swept(name: str) -> list[dict[str, Any]]:
        return [cell.swept for cell in load_scenario(name).cells]

    assert swept("karmma") == swept("dose-450") == [{}]
    nulls = ({"pfs_median": 4}, {"pfs_median": 4, "scale": "latent"})
    assert swept("pfs-benchmark") == [{"world.truth": truth} for truth in ("posterior", *nulls)]
    assert swept("next-trial") == [{"world.between_trial_sd": sd} for sd in (0.0, 0.3, 0.5)]
    at_nulls = [{"each_dose": True, "orr": orr, "cr": 0.1} for orr in (0.5, 0.734)]
    assert swept("karmma-type-one-error") == [{"world.truth": truth} for truth in at_nulls]
    cuts = [cell["calendar.data_cut"] for cell in swept("follow-up")]
    assert cuts == [{"months_after_last_infusion": months} for months in (6, 9, 12, 18, 24)]
    sizes = [cell["cohort.enrolled"] for cell in swept("karmma-sample-size")]
    assert (sizes[0], sizes[-1]) == (40, 200)
    assert sizes == sorted(sizes)


def test_karmma_is_the_trial_as_it_was_run() -> None:
    design = load_scenario("karmma").design
    assert design.arm[0].doses == {"150": 4, "300": 70, "450": 54}
    assert (design.arm[0].allocation, design.cohort.enrolled, design.world.truth) == ("fixed", 140, "posterior")
    assert [(test.method, test.alpha) for test in design.test] == [("normal", 0.025)] * 2


# Defaults


def test_one_arm_and_one_test_are_enough(evidence: Evidence, posterior: Posterior) -> None:
    scenario = read(PLAIN)
    assert len(scenario.cells) == 1
    design = scenario.design
    assert (design.world.study, design.world.truth, design.world.between_trial_sd) == ("karmma", "posterior", 0.0)
    assert (design.world.discount, design.world.extrapolate) == (1.0, False)
    assert (design.simulation.trials, design.simulation.seed) == (10_000, 1)
    test = design.test[0]
    assert (test.alternative, test.method, test.population, test.after) == ("greater", "exact", "infused", "")
    protocol = protocol_of(PLAIN, evidence, posterior)
    assert (protocol.size, protocol.plan.target, protocol.plan.allocation) == (140, "enrolled", "random")
    assert (protocol.doses, protocol.shares) == ((150.0, 300.0, 450.0), (4.0, 70.0, 54.0))
    assert protocol.worlds.size == posterior.draws
    assert protocol.numbers.bounds["orr"][128] == 76  # alpha 0.025


@pytest.mark.parametrize("text", [PLAIN.split("[[test]]")[0], "[[test]]" + PLAIN.split("[[test]]")[1]])
def test_an_arm_alone_or_a_test_alone_is_enough(text: str, evidence: Evidence, posterior: Posterior) -> None:
    assert protocol_of(text, evidence, posterior).size == 140


def test_fixed_allocation_alone_infuses_the_studys_own_numbers(evidence: Evidence, posterior: Posterior) -> None:
    protocol = protocol_of('[[arm]]\nallocation = "fixed"\n', evidence, posterior)
    assert (protocol.plan.target, protocol.size) == ("infused", 128)
    assert list(protocol.numbers.fills) == [4, 74, 128]


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    for text in ("", "# nothing but a word\n"):
        (tmp_path / "empty.toml").write_text(text)
        with pytest.raises(InputError, match=r"empty\.toml: is empty; a scenario needs at least one \[\[arm\]\]"):
            load_scenario(tmp_path / "empty.toml")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"[cohort\n", "not valid TOML: "), (b"a = 1\na = 2\n", "not valid TOML: "), (b't = "\xe9"', "cannot be read (")],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_scenario(file)
    assert str(caught.value).startswith(f"{file}: {said}")
    assert "\n" not in str(caught.value)


# Bad input

BAD: dict[str, tuple[str, str]] = {
    # unknown keys: the key, the nearest valid one, and all that are allowed
    "section": (
        PLAIN + "[cohrt]\nenrolled = 3\n",
        "the file has no key 'cohrt'; did you mean 'cohort'? (allowed: title, question, answer, success, world, arm, ",
    ),
    "key": (
        PLAIN + "[cohort]\nenroled = 3\n",
        "[cohort] has no key 'enroled'; did you mean 'enrolled'? (allowed: enrolled, infused, attrition, mix)",
    ),
    "key of an arm": (PLAIN.replace("name =", "nam =", 1), "[[arm]] number 1 has no key 'nam'; did you mean 'name'?"),
    "key of a test": (PLAIN + "nul = 0.4\n", "[[test]] 'orr' has no key 'nul'; did you mean 'null'? (allowed: name, "),
    "key like nothing": (PLAIN + "[world]\nxyzzy = 1\n", "[world] has no key 'xyzzy' (allowed: study, truth, "),
    # wrong types
    "text for a number": (PLAIN + '[cohort]\nenrolled = "140"\n', "[cohort] enrolled = '140': input should be a valid"),
    "half a patient": (PLAIN + "[cohort]\nenrolled = 140.5\n", "[cohort] enrolled = 140.5: "),
    "true for a number": (PLAIN + "[cohort]\nenrolled = true\n", "[cohort] enrolled = True: "),
    "true for a rate": (PLAIN + "[world]\ndiscount = true\n", "[world] discount = True: "),
    "number for a text": (PLAIN.replace('"one"', "1"), "[[arm]] number 1 name = 1: input should be a valid string"),
    "text for a truth value": (PLAIN + '[world]\nextrapolate = "yes"\n', "[world] extrapolate = 'yes': "),
    "text for a section": ('world = "karmma"\n' + PLAIN, "world = 'karmma': a table is needed"),
    "list for a section": ("cohort = [1]\n" + PLAIN, "cohort = [1]: a table is needed"),
    "table for a list": (
        '[test]\nname = "orr"\nendpoint = "orr"\nnull = 0.5\n',
        "[test] is one table: entries of a list are",
    ),
    "text for a test": ('test = ["orr"]\n', "[[test]] number 1 = 'orr': a table is needed"),
    # numbers of patients
    "nobody enrolled": (PLAIN + "[cohort]\nenrolled = 0\n", "enrolled = 0: input should be greater than or equal to 1"),
    "fewer than nobody": (PLAIN + "[cohort]\nenrolled = -5\n", "[cohort] enrolled = -5: "),
    "nobody infused": (PLAIN + "[cohort]\ninfused = 0\n", "[cohort] infused = 0: "),
    "both sizes": (PLAIN + "[cohort]\nenrolled = 3\ninfused = 2\n", "[cohort]: enrolled and infused are both given"),
    "no trials": (PLAIN + "[simulation]\ntrials = 0\n", "[simulation] trials = 0: "),
    "seed below 0": (PLAIN + "[simulation]\nseed = -1\n", "[simulation] seed = -1: "),
    "seed of 2**32": (
        PLAIN + "[simulation]\nseed = 4294967296\n",
        "[simulation] seed = 4294967296: input should be less",
    ),
    # probabilities
    "null above 1": (PLAIN.replace("0.5", "1.5"), "[[test]] 'orr' null = 1.5: input should be less than 1"),
    "null of 0": (PLAIN.replace("0.5", "0"), "[[test]] 'orr' null = 0: input should be greater than 0"),
    "null in percent": (PLAIN.replace("0.5", "50"), "[[test]] 'orr' null = 50: "),
    "null not a number": (PLAIN.replace("0.5", "nan"), "[[test]] 'orr' null = nan: "),
    "alpha above one half": (PLAIN + "alpha = 0.7\n", "[[test]] 'orr' alpha = 0.7: "),
    "alpha of 0": (PLAIN + "alpha = 0\n", "[[test]] 'orr' alpha = 0: "),
    "attrition of 1": (
        PLAIN + "[cohort]\nattrition = 1.0\n",
        '[cohort] attrition: 1.0 is not allowed ("fitted", or a ',
    ),
    "attrition below 0": (PLAIN + "[cohort]\nattrition = -0.1\n", "[cohort] attrition: -0.1 is not allowed"),
    "attrition misspelt": (PLAIN + '[cohort]\nattrition = "fited"\n', "[cohort] attrition: 'fited' is not allowed"),
    "discount above 1": (PLAIN + "[world]\ndiscount = 1.1\n", "[world] discount = 1.1: "),
    "spread below 0": (PLAIN + "[world]\nbetween_trial_sd = -1\n", "[world] between_trial_sd = -1: "),
    "spread without end": (PLAIN + "[world]\nbetween_trial_sd = inf\n", "[world] between_trial_sd = inf: "),
    # tests
    "endpoint missing": (PLAIN.replace('endpoint = "orr"\n', ""), "[[test]] 'orr' endpoint is missing"),
    "endpoint unknown": (
        PLAIN.replace('endpoint = "orr"', 'endpoint = "efs"'),
        "[[test]] 'orr' endpoint = 'efs': input should be 'orr', 'vgpr', 'cr', 'mrd', 'crs', ",
    ),
    "name missing": (PLAIN.replace('name = "orr"\n', ""), "[[test]] number 1 name is missing"),
    "name with a dot": (PLAIN.replace('name = "orr"', 'name = "a.b"'), "[[test]] 'a.b' name = 'a.b': "),
    "name of a metric": (PLAIN.replace('name = "orr"', 'name = "all"'), "'all' is the name of a metric of its own"),
    "method unknown": (
        PLAIN + 'method = "wald"\n',
        "method = 'wald': input should be 'normal', 'exact', 'posterior', 'log-rank', 'median' or 'count'",
    ),
    "two-sided": (PLAIN + 'alternative = "two-sided"\n', "alternative = 'two-sided': input should be 'greater' or"),
    "population unknown": (PLAIN + 'population = "treated"\n', "population = 'treated': input should be 'infused' or"),
    "after nothing": (PLAIN + 'after = "cr"\n', "[[test]] 'orr' comes after 'cr', which is no test (orr)"),
    "after itself": (PLAIN + 'after = "orr"\n', "tests wait for each other in a cycle: orr"),
    "cycle of two": (PLAIN + 'after = "cr"\n' + CR + 'after = "orr"\n', "wait for each other in a cycle: orr, cr"),
    "named twice": (PLAIN + CR.replace('name = "cr"', 'name = "orr"'), "two tests are named 'orr'"),
    "posterior without probability": (PLAIN + 'method = "posterior"\n', "[[test]] 'orr': method = \"posterior\" needs"),
    "posterior with alpha": (
        PLAIN + 'method = "posterior"\nprobability = 0.9\nalpha = 0.02\n',
        "[[test]] 'orr': alpha does not go with method = \"posterior\"",
    ),
    "probability without posterior": (PLAIN + "probability = 0.9\n", "prior and probability go with method"),
    "prior of three": (
        PLAIN + 'method = "posterior"\nprobability = 0.9\nprior = [1.0, 1.0, 1.0]\n',
        "[[test]] 'orr' prior: 3 entries; at most 2",
    ),
    # arms and doses
    "two arms": (
        PLAIN + '[[arm]]\nname = "two"\n',
        "2 [[arm]]: one arm is simulated so far; give one [[arm]]",
    ),
    "no arm": ("arm = []\n", "arm = []: at least one entry is needed"),
    "dose in words": ("[[arm]]\ndoses = { high = 1 }\n", "[[arm]] number 1: dose 'high' is not a positive number"),
    "dose below 0": ('[[arm]]\ndoses = { "-300" = 1 }\n', "[[arm]] number 1: dose '-300' is not a positive number"),
    "share below 0": ('[[arm]]\ndoses = { "300" = -1 }\n', "[[arm]] number 1 doses.300 = -1: "),
    "no share": ('[[arm]]\ndoses = { "300" = 0 }\n', "[[arm]] number 1: doses must have a share above 0"),
    "no dose": ("[[arm]]\ndoses = {}\n", "[[arm]] number 1: doses must have a share above 0"),
    "dose twice": ('[[arm]]\ndoses = { "300" = 1, "300.0" = 1 }\n', "doses names one dose twice"),
    "allocation unknown": ('[[arm]]\nallocation = "equal"\n', "allocation = 'equal': input should be 'random', "),
    "half a patient fixed": (
        '[[arm]]\nallocation = "fixed"\ndoses = { "300" = 1.5 }\n',
        'with allocation = "fixed" the shares in doses are numbers of patients',
    ),
    "more fixed than enrolled": (
        '[[arm]]\nallocation = "fixed"\ndoses = { "300" = 150 }\n[cohort]\nenrolled = 100\n',
        '[cohort] enrolled = 100 is fewer than the 150 that allocation = "fixed" infuses',
    ),
    "other than fixed infused": (
        '[[arm]]\nallocation = "fixed"\ndoses = { "300" = 150 }\n[cohort]\ninfused = 100\n',
        '[cohort] infused = 100 is not the 150 that allocation = "fixed" infuses',
    ),
    "fixed without numbers": (
        '[[arm]]\nname = "one"\nallocation = "fixed"\n[cohort]\nenrolled = 100\n',
        "[[arm]] 'one': allocation = \"fixed\" with enrolled or infused in [cohort] needs doses",
    ),
    # truth and correlations
    "truth misspelt": (PLAIN + '[world]\ntruth = "posteror"\n', "[world] truth: 'posteror' is not a truth (allowed: "),
    "truth of an unknown rate": (PLAIN + "[world]\ntruth = { or = 0.5 }\n", "[world] truth: there is no rate 'or' ("),
    "truth above 1": (PLAIN + "[world]\ntruth = { orr = 1.5 }\n", "[world] truth: orr = 1.5 is not a rate between 0"),
    "truth of 0": (PLAIN + "[world]\ntruth = { orr = 0 }\n", "[world] truth: orr = 0 is not a rate between 0 and 1"),
    "truth at no dose": (PLAIN + "[world]\ntruth = { orr = {} }\n", "[world] truth: orr = {} states no dose"),
    "truth at a worded dose": (PLAIN + "[world]\ntruth = { orr = { all = 0.5 } }\n", "truth: dose 'all' is not a"),
    "truth at one dose twice": (
        PLAIN + '[world]\ntruth = { orr = { "300" = 0.5, "300.0" = 0.6 } }\n',
        "[world] truth: orr names one dose twice",
    ),
    "truth empty": (PLAIN + "[world]\ntruth = {}\n", "[world] truth: {} is not a truth"),
    "pair unknown": (
        PLAIN + '[world.correlation]\n"crs~response" = 0.2\n',
        "[world] correlation: there is no pair 'crs~response' (allowed: response~crs, response~neurotoxicity, ",
    ),
    "correlation of 1": (
        PLAIN + '[world.correlation]\n"response~crs" = 1.0\n',
        "[world] correlation.response~crs = 1.0",
    ),
    # calendar and simulation
    "accrual of 0": (PLAIN + "[calendar]\naccrual_per_month = 0\n", "[calendar] accrual_per_month = 0: "),
    "delay below 0": (
        PLAIN + "[calendar]\ninfusion_delay_months = -1\n",
        "[calendar] infusion_delay_months: -1 is not",
    ),
    "two cuts": (
        PLAIN + "[calendar]\ndata_cut = { month = 1, months_after_last_infusion = 2 }\n",
        "[calendar] data_cut: give one of month and months_after_last_infusion",
    ),
    "cut misspelt": (
        PLAIN + "[calendar]\ndata_cut = { months = 1 }\n",
        "[calendar] data_cut has no key 'months'; did you",
    ),
    "endpoint not modelled": (PLAIN + '[simulation]\nendpoints = ["ttp"]\n', "[simulation] endpoints.0 = 'ttp': "),
    "nothing to count": ('[[arm]]\nname = "one"\n[simulation]\nendpoints = []\n', "nothing would be counted"),
    # sweeps
    "sweep of an unknown key": (
        PLAIN + '[sweep]\n"cohort.enroled" = [140]\n',
        "[sweep] cohort.enroled = 140: [cohort] has no key 'enroled'; did you mean 'enrolled'?",
    ),
    "sweep of an unknown section": (PLAIN + '[sweep]\n"cohrt.enrolled" = [1]\n', "did you mean 'cohort'?"),
    "sweep of an unknown test": (PLAIN + '[sweep]\n"test.cr.null" = [0.1]\n', "names no test (known: test.orr)"),
    "sweep of a test where none is": (
        '[[arm]]\nname = "one"\n[sweep]\n"test.orr.null" = [0.1]\n',
        "[sweep] 'test.orr.null' names no test (known: none)",
    ),
    "sweep of an unknown arm": (PLAIN + '[sweep]\n"arm.b.allocation" = ["random"]\n', "names no arm (known: arm.one)"),
    "sweep of an unknown key of a test": (PLAIN + '[sweep]\n"test.orr.nul" = [0.1]\n', "did you mean 'null'?"),
    "sweep of a test, no key": (PLAIN + '[sweep]\n"test.orr" = [0.1]\n', "[sweep] 'test.orr' names no key"),
    "sweep of a name": (PLAIN + '[sweep]\n"test.orr.name" = ["a", "b"]\n', "[sweep] cannot sweep 'test.orr.name'"),
    "sweep of trials": (PLAIN + '[sweep]\n"simulation.trials" = [10]\n', "[sweep] cannot sweep 'simulation.trials'"),
    "sweep of a title": (PLAIN + '[sweep]\ntitle = ["a"]\n', "[sweep] cannot sweep 'title'"),
    "sweep over nothing": (PLAIN + '[sweep]\n"cohort.enrolled" = []\n', "'cohort.enrolled' = []: a list of values is"),
    "sweep over one number": (
        PLAIN + '[sweep]\n"cohort.enrolled" = 140\n',
        "'cohort.enrolled' = 140: a list of values",
    ),
    "sweep into a bad value": (
        PLAIN + '[sweep]\n"test.orr.null" = [0.4, 1.4]\n',
        "[sweep] test.orr.null = 1.4: [[test]] 'orr' null = 1.4: input should be less than 1",
    ),
    "sweep below a value": (PLAIN + '[sweep]\n"cohort.enrolled.x" = [1]\n', "[cohort] enrolled = {'x': 1}: "),
    "sweep through a word": (
        PLAIN + '[world]\ntruth = "posterior"\n[sweep]\n"world.truth.orr" = [0.5]\n',
        "[sweep] 'world.truth.orr' leads into something that is not a table",
    ),
    "pairs of different length": (
        PLAIN + '[sweep.zip]\n"cohort.enrolled" = [10, 20]\n"test.orr.null" = [0.4]\n',
        "[sweep.zip] lists differ in length (cohort.enrolled 2, test.orr.null 1)",
    ),
    "pairs that are no table": (PLAIN + "[sweep]\nzip = [1, 2]\n", "[sweep] zip = [1, 2]: a table of keys and lists"),
    "swept twice, paired": (
        PLAIN + '[sweep]\n"cohort.enrolled" = [10]\n[sweep.zip]\n"cohort.enrolled" = [10]\n',
        "[sweep] names 'cohort.enrolled' twice",
    ),
    "swept twice, unquoted": (
        PLAIN + '[sweep]\n"cohort.enrolled" = [10]\ncohort.enrolled = [10]\n',
        "[sweep] names 'cohort.enrolled' twice",
    ),
    "too many cells": (
        PLAIN
        + f'[sweep]\n"cohort.enrolled" = {[*range(1, 102)]}\n"cohort.attrition" = {[i / 200 for i in range(100)]}\n',
        "[sweep] makes 10100 cells (at most 10000)",
    ),
    "sweep that is no table": ("sweep = [1]\n" + PLAIN, "sweep = [1]: a table is needed"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_in_one_line(kind: str) -> None:
    text, said = BAD[kind]
    message = refusal(text)
    assert said in message, message


def test_several_problems_are_told() -> None:
    message = refusal(PLAIN + "[cohort]\nenrolled = -1\nattrition = 4\n")
    assert message.startswith("[cohort] enrolled = -1: ")
    assert "; and [cohort] attrition: 4 is not allowed" in message


def test_a_long_value_is_shortened() -> None:
    assert len(refusal(PLAIN + f'[cohort]\nenrolled = "{"x" * 1000}"\n')) < 200


# Sweeps


def test_a_sweep_is_the_grid_of_its_keys() -> None:
    scenario = read(PLAIN + CR + '[sweep]\n"cohort.enrolled" = [10, 20]\n"test.cr.null" = [0.1, 0.2, 0.3]\n')
    assert scenario.swept == ["cohort.enrolled", "test.cr.null"]
    got = [(c.number, c.design.cohort.enrolled, c.design.test[0].null, c.design.test[1].null) for c in scenario.cells]
    assert got == [(i, n, 0.5, p) for i, (n, p) in enumerate((n, p) for n in (10, 20) for p in (0.1, 0.2, 0.3))]
    assert scenario.design.cohort.enrolled is None  # the design without the sweep is as written


def test_a_zip_walks_its_lists_together_inside_the_grid() -> None:
    scenario = read(
        PLAIN
        + '[sweep]\n"cohort.attrition" = [0.0, 0.1]\n'
        + '[sweep.zip]\n"cohort.enrolled" = [10, 20]\n"test.orr.null" = [0.4, 0.6]\n'
    )
    assert scenario.swept == ["cohort.attrition", "cohort.enrolled", "test.orr.null"]
    got = [(c.design.cohort.attrition, c.design.cohort.enrolled, c.design.test[0].null) for c in scenario.cells]
    assert got == [(0.0, 10, 0.4), (0.0, 20, 0.6), (0.1, 10, 0.4), (0.1, 20, 0.6)]


def test_a_swept_key_may_stand_without_quotes() -> None:
    quoted = read(PLAIN + '[sweep]\n"cohort.enrolled" = [10, 20]\n"test.orr.null" = [0.4, 0.5]\n')
    unquoted = read(PLAIN + "[sweep]\ncohort.enrolled = [10, 20]\ntest.orr.null = [0.4, 0.5]\n")
    assert quoted.cells == unquoted.cells


def test_an_arm_is_swept_by_its_name() -> None:
    text = PLAIN + '[sweep]\n"arm.one.doses" = [{ "300" = 1.0 }, { "450" = 1.0 }]\n'
    assert [cell.design.arm[0].doses for cell in read(text).cells] == [{"300": 1.0}, {"450": 1.0}]
    assert [cell.design.arm[0].name for cell in read(text).cells] == ["one", "one"]


def test_the_arm_that_no_file_names_is_swept_as_arm() -> None:
    text = PLAIN.split('name = "one"')[1] + '[sweep]\n"arm.arm.allocation" = ["random", "sequential"]\n'
    assert [cell.design.arm[0].allocation for cell in read(text).cells] == ["random", "sequential"]


def test_sections_that_a_file_leaves_out_can_be_swept() -> None:
    cells = read(PLAIN + '[sweep]\n"world.truth" = ["posterior", { orr = 0.5 }]\n').cells
    assert [cell.design.world.truth for cell in cells] == ["posterior", {"orr": 0.5}]
    cells = read(PLAIN + '[sweep]\n"world.truth.orr" = [0.5, 0.6]\n').cells
    assert [cell.design.world.truth for cell in cells] == [{"orr": 0.5}, {"orr": 0.6}]


def test_replace_changes_what_it_names_and_nothing_else() -> None:
    scenario = load_scenario("karmma")
    changed = scenario.replace({"cohort.enrolled": 200, "test.cr.null": 0.2, "simulation.seed": 7})
    assert changed.design.cohort.enrolled == 200
    assert [test.null for test in changed.design.test] == [0.5, 0.2]
    assert changed.design.simulation.seed == 7
    assert changed.design.arm == scenario.design.arm
    assert scenario.design.cohort.enrolled == 140
    assert scenario.sha256 != changed.sha256
    assert (
        changed.replace({"cohort.enrolled": 140, "test.cr.null": 0.1, "simulation.seed": 1}).design == scenario.design
    )


def test_replace_reaches_every_cell_of_a_sweep() -> None:
    changed = load_scenario("next-trial").replace({"cohort.enrolled": 150})
    assert [cell.design.cohort.enrolled for cell in changed.cells] == [150, 150, 150]


def test_replace_refuses_as_a_file_is_refused() -> None:
    scenario = load_scenario("karmma")
    with pytest.raises(InputError, match=r"scenarios/karmma\.toml: \[cohort\] has no key 'enroled'; did you mean 'enr"):
        scenario.replace({"cohort.enroled": 200})
    with pytest.raises(InputError, match="names no test"):
        scenario.replace({"test.os.null": 0.2})


# Absurd sizes


def test_absurd_sizes_are_refused_with_their_cost() -> None:
    text = PLAIN + "[simulation]\ntrials = 1000000000\n" + '[sweep]\n"cohort.enrolled" = [100, 140]\n'
    with pytest.raises(InputError) as caught:
        vtrial.run(tomllib.loads(text))
    message = str(caught.value)
    assert "1,000,000,000 trials of 140 patients in 2 cells are 2.8e+11 patient-trials" in message
    assert "about 16 hours" in message
    assert "(at most 1e+11)" in message


@pytest.mark.parametrize("patients", [1_000_000_000, 10**18])
def test_absurd_numbers_of_patients_are_refused(patients: int) -> None:
    with pytest.raises(InputError, match="patient-trials, about"):
        vtrial.run(tomllib.loads(PLAIN + f"[cohort]\nenrolled = {patients}\n"))


def test_a_single_trial_must_fit_into_memory() -> None:
    with pytest.raises(InputError, match=r"trials of 3,000,000,000 patients do not fit into memory \(at most 10,000\)"):
        vtrial.run(tomllib.loads(PLAIN + "[cohort]\nenrolled = 3000000000\n[simulation]\ntrials = 1\n"))


def test_the_largest_allowed_size_is_allowed() -> None:
    scenario = read(PLAIN + "[simulation]\ntrials = 1000000000\n")
    with pytest.raises(InputError, match=r"at most 1e\+11"):
        check_cost(scenario, 101)
    with pytest.raises(InputError, match=r"about 279 GB of memory \(at most 20,000,000\)"):
        check_cost(scenario, 100)
    check_cost(read(PLAIN + "[simulation]\ntrials = 20000000\n"), 5000)


# What only the study can tell


@pytest.mark.parametrize("dose", ["149", "451", "600", "75"])
def test_doses_outside_the_studied_ones_must_be_asked_for(dose: str, evidence: Evidence, posterior: Posterior) -> None:
    arm = f'[[arm]]\nname = "one"\ndoses = {{ "300" = 1, "{dose}" = 1 }}\n'
    with pytest.raises(InputError) as caught:
        protocol_of(arm, evidence, posterior)
    message = str(caught.value)
    assert message.startswith(f"scenarios/x.toml: [[arm]] 'one' doses: {dose} lies outside the studied 150 to 450")
    assert message.endswith("set extrapolate = true in [world] to go there")
    assert protocol_of(arm + "[world]\nextrapolate = true\n", evidence, posterior).doses == (300.0, float(dose))


@pytest.mark.parametrize("dose", ["150", "225.5", "450"])
def test_doses_between_the_studied_ones_need_no_leave(dose: str, evidence: Evidence, posterior: Posterior) -> None:
    assert protocol_of(f'[[arm]]\ndoses = {{ "{dose}" = 1 }}\n', evidence, posterior).doses == (float(dose),)


def test_a_dose_that_nobody_gets_may_lie_anywhere(evidence: Evidence, posterior: Posterior) -> None:
    assert protocol_of('[[arm]]\ndoses = { "300" = 1, "900" = 0 }\n', evidence, posterior).doses == (300.0,)


@pytest.mark.parametrize(
    ("changes", "timed"),
    [
        ({}, True),
        ({"simulation.endpoints": ["orr"]}, False),
        ({"simulation.endpoints": []}, False),
        ({"simulation.endpoints": ["orr", "os"]}, True),
        ({"simulation.endpoints": [], "world.truth": {"orr": 0.5}}, False),
        ({"simulation.endpoints": [], "world.truth": {"pfs_median": 4.0}}, True),
    ],
)
def test_times_are_asked_for_unless_endpoints_say_otherwise(changes: dict[str, object], timed: bool) -> None:
    assert load_scenario("karmma").replace(changes).design.timed == timed


def test_a_test_of_a_time_asks_for_times() -> None:
    changed = load_scenario("pfs-benchmark").replace({"simulation.endpoints": []})
    assert any(test.timed for test in changed.design.test)
    assert changed.design.timed


def test_an_unknown_study_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no study 'karma'; did you mean 'karmma'\?"):
        vtrial.run(tomllib.loads(PLAIN + '[world]\nstudy = "karma"\n'))


def test_correlations_that_make_no_matrix_are_refused(evidence: Evidence, posterior: Posterior) -> None:
    text = (
        PLAIN
        + '[world.correlation]\n"response~crs" = 0.9\n"response~neurotoxicity" = 0.9\n"crs~neurotoxicity" = -0.9\n'
    )
    with pytest.raises(
        InputError, match=r"scenarios/x\.toml: \[world\].*these values together are no correlation matrix"
    ):
        protocol_of(text, evidence, posterior)


# Truth: what is stated holds exactly

MIX = np.array([4, 70, 54]) / 128
X = np.log2(np.array([150, 300, 450]) / 300)


def steps_at(world: World, x: Any) -> dict[Step, np.ndarray]:
    """Step probabilities of a world of one, by an independent formula."""
    return {step: expit(world.intercept[0, step] + world.slope[0, step] * np.asarray(x)) for step in Step}


@pytest.mark.parametrize("orr", [0.02, 0.5, 0.73, 0.98])
def test_a_stated_orr_holds_in_the_studys_own_mix(orr: float, evidence: Evidence, posterior: Posterior) -> None:
    world = fixed({"orr": orr}, posterior, evidence, "here")
    assert MIX @ steps_at(world, X)[Step.RESPONSE] == pytest.approx(orr, abs=1e-12)


def test_stated_orr_and_cr_hold_together_in_the_studys_own_mix(evidence: Evidence, posterior: Posterior) -> None:
    world = fixed({"cr": 0.10, "orr": 0.50}, posterior, evidence, "here")
    steps = steps_at(world, X)
    assert MIX @ steps[Step.RESPONSE] == pytest.approx(0.50, abs=1e-12)
    assert MIX @ (steps[Step.RESPONSE] * steps[Step.CR]) == pytest.approx(0.10, abs=1e-12)


@pytest.mark.parametrize(("whole", "part"), [("crs", "crs3"), ("neurotoxicity", "neurotoxicity3")])
def test_stated_toxicity_holds_in_the_studys_own_mix(
    whole: str, part: str, evidence: Evidence, posterior: Posterior
) -> None:
    world = fixed({whole: 0.6, part: 0.2}, posterior, evidence, "here")  # type: ignore[dict-item]
    steps = steps_at(world, X)
    any_grade = steps[Step[whole.upper()]]
    assert MIX @ any_grade == pytest.approx(0.6, abs=1e-12)
    assert MIX @ (any_grade * steps[Step[part.upper()]]) == pytest.approx(0.2, abs=1e-12)


def test_orr_alone_keeps_the_depth_of_response(evidence: Evidence, posterior: Posterior) -> None:
    """P(CR | response) stays, so CR falls with ORR; nothing else moves."""
    mean = posterior_mean(posterior)
    world = fixed({"orr": 0.50}, posterior, evidence, "here")
    np.testing.assert_array_equal(world.slope, mean.slope)
    moved = [step for step in Step if world.intercept[0, step] != mean.intercept[0, step]]
    assert moved == [Step.RESPONSE]

    def cr(of: World) -> float:
        return float(MIX @ (steps_at(of, X)[Step.RESPONSE] * steps_at(of, X)[Step.CR]))

    assert cr(world) < cr(mean) - 0.05


def test_cr_alone_keeps_orr(evidence: Evidence, posterior: Posterior) -> None:
    mean, world = posterior_mean(posterior), fixed({"cr": 0.10}, posterior, evidence, "here")
    np.testing.assert_array_equal(steps_at(world, X)[Step.RESPONSE], steps_at(mean, X)[Step.RESPONSE])
    steps = steps_at(world, X)
    assert MIX @ (steps[Step.RESPONSE] * steps[Step.CR]) == pytest.approx(0.10, abs=1e-12)


def test_one_dose_holds_there_and_keeps_the_slope(evidence: Evidence, posterior: Posterior) -> None:
    world = fixed({"orr": {"300": 0.65}}, posterior, evidence, "here")
    assert steps_at(world, 0.0)[Step.RESPONSE] == pytest.approx(0.65, abs=1e-12)
    np.testing.assert_array_equal(world.slope, posterior_mean(posterior).slope)


def test_a_cr_at_one_dose_is_unconditional(evidence: Evidence, posterior: Posterior) -> None:
    world = fixed({"orr": {"450": 0.8}, "cr": {"450": 0.4}}, posterior, evidence, "here")
    steps = steps_at(world, np.log2(1.5))
    assert steps[Step.RESPONSE] == pytest.approx(0.8, abs=1e-12)
    assert steps[Step.RESPONSE] * steps[Step.CR] == pytest.approx(0.4, abs=1e-12)


def test_two_doses_refit_the_slope(evidence: Evidence, posterior: Posterior) -> None:
    world = fixed({"orr": {"300": 0.69, "450": 0.81}}, posterior, evidence, "here")
    assert steps_at(world, [0.0, np.log2(1.5)])[Step.RESPONSE] == pytest.approx([0.69, 0.81], abs=1e-12)
    assert world.slope[0, Step.RESPONSE] == pytest.approx((logit(0.81) - logit(0.69)) / np.log2(1.5), rel=1e-12)
    falling = fixed({"orr": {"450": 0.5, "150": 0.7}}, posterior, evidence, "here")
    assert steps_at(falling, [-1.0, np.log2(1.5)])[Step.RESPONSE] == pytest.approx([0.7, 0.5], abs=1e-12)


def test_three_doses_must_lie_on_one_curve(evidence: Evidence, posterior: Posterior) -> None:
    on_curve = {f"{dose}": float(expit(0.3 + 0.8 * np.log2(dose / 300))) for dose in (150, 300, 450)}
    world = fixed({"orr": on_curve}, posterior, evidence, "here")
    assert world.slope[0, Step.RESPONSE] == pytest.approx(0.8, rel=1e-9)
    with pytest.raises(InputError, match=r"here: truth\.orr at 3 doses does not lie on one curve"):
        fixed({"orr": {"150": 0.5, "300": 0.69, "450": 0.81}}, posterior, evidence, "here")


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        ({"orr": 0.3, "cr": 0.4}, "truth.cr = 0.4 is above orr = 0.3, of which it is a part"),
        ({"cr": 0.9}, "truth.cr = 0.9 is above orr = 0.7"),
        ({"crs": 0.1, "crs3": 0.2}, "truth.crs3 = 0.2 is above crs = 0.1"),
        ({"orr": {"300": 0.3}, "cr": {"300": 0.3}}, "truth.cr = 0.3 at dose 300 is not below orr = 0.3 there"),
    ],
)
def test_a_part_above_its_whole_is_refused(
    truth: dict[Any, Any], said: str, evidence: Evidence, posterior: Posterior
) -> None:
    with pytest.raises(InputError) as caught:
        fixed(truth, posterior, evidence, "here")
    assert str(caught.value).startswith(f"here: {said}")


def test_attrition_is_a_probability_or_the_fitted_one(evidence: Evidence, posterior: Posterior) -> None:
    for attrition in (0.0, 0.15):
        worlds = protocol_of(PLAIN + f"[cohort]\nattrition = {attrition}\n", evidence, posterior).worlds
        np.testing.assert_allclose(expit(worlds.intercept[:, Step.INFUSED]), 1 - attrition, atol=1e-12)
    fitted = protocol_of(PLAIN, evidence, posterior).worlds.intercept[:, Step.INFUSED]
    np.testing.assert_array_equal(np.sort(fitted), np.sort(posterior.intercept[:, Step.INFUSED]))
