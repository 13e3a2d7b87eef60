"""The law of the house: every import goes to a lower layer or stays in its folder, no modules import each other in a
circle, a folder defines a name once.

`debt.txt` holds what breaks it today, a line each. The list may only shrink: a line that is no longer true must go, and
no line may be added.
"""

from pathlib import Path

import pytest

import vtrial
from tests.architecture.reading import Import, circles, imports, public_names, sources

PACKAGE = Path(vtrial.__file__).parent
DEBT = Path(__file__).with_name("debt.txt")
# Ground first. "": the package's own `__init__`, whose public names are imported when first used.
LAYERS: list[set[str]] = [
    {"_support"},
    {"model"},
    {"evidence", "boundaries", "trial"},
    {"scenario"},
    {"protocol"},
    {"engine"},
    {"characteristics", "fitting"},
    {"workflows"},
    {"report"},
    {"cli", ""},
]
HEIGHT = {folder: height for height, layer in enumerate(LAYERS) for folder in layer}
FITTING = {"pymc", "pytensor", "nutpie", "arviz"}
SIMULATING = {"jax", "numpy"}
STANDARD = {"collections", "dataclasses", "enum", "functools", "itertools", "math", "typing"}
UP = {("vtrial.workflows.views", "report")}  # how a result shows itself: in functions alone
WITH_JAX = {"vtrial.model.world", "vtrial.model.multistate"}  # of `model`; all else there is plain, or takes `xp`


def folder(module: str) -> str:
    """The folder of the package in which a module lies."""
    return [*module.split("."), ""][1]


def broken(modules: dict[str, str]) -> set[str]:
    """The imports that break the law, as lines of debt.txt."""
    return {f"{found.module} -> {found.of}" for found in imports(modules) if not lawful(found)}


def lawful(found: Import) -> bool:
    here, library = folder(found.module), found.of.split(".")[0]
    if library != "vtrial":
        if library in FITTING:
            return here == "fitting"
        if here in ("trial", "engine"):
            return library in SIMULATING | STANDARD | (set() if here == "trial" else {"concurrent", "os"})
        return here != "model" or library != "jax" or found.module in WITH_JAX
    there = folder(found.of)
    if found.module == "vtrial" or here == there or (found.module, there) in UP:
        return True
    if here == "trial" and there != "model":
        return False
    if here == "report" and there == "engine":
        return False
    return HEIGHT[there] < HEIGHT[here]


def defined_twice(modules: dict[str, str]) -> set[str]:
    """Public names that several modules of one folder define, as lines of debt.txt."""
    homes: dict[tuple[str, str], list[str]] = {}
    for module, text in modules.items():
        for name in set(public_names(text)):
            homes.setdefault((folder(module), name), []).append(module)
    return {f"{where}: {name}" for (where, name), modules in homes.items() if len(modules) > 1}


def in_circles(modules: dict[str, str]) -> set[str]:
    """Modules that import each other, as lines of debt.txt. The package's own `__init__` imports nothing of itself."""
    own = {module: text for module, text in modules.items() if module != "vtrial"}
    return {f"circle: {', '.join(group)}" for group in circles(own)}


def test_the_law_holds_but_for_the_debt() -> None:
    debt = DEBT.read_text(encoding="utf-8").split("\n")
    owed = {line for line in debt if line and not line.startswith("#")}
    modules = sources(PACKAGE)
    found = broken(modules) | defined_twice(modules) | in_circles(modules)
    assert not found - owed, "these break the law"
    assert not owed - found, "these lines of debt.txt are paid: take them away"


def test_every_folder_has_a_place_and_nothing_lies_beside_them() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name not in ("__pycache__", "shipped")}
    assert folders | {""} == set(HEIGHT)
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py"}
    readme = (PACKAGE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    for name in folders:
        assert f"{name}/" in (vtrial.__doc__ or ""), name
        assert f"`{name}/`" in readme, name


@pytest.mark.parametrize(
    "planted",
    [
        "from vtrial.report import page\n",
        "def f():\n    from vtrial.report.page import html\n    return html\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vtrial.workflows.result\n",
        "from importlib import import_module\npage = import_module('vtrial.report.page')\n",
        "import pymc as pm\n",
    ],
    ids=["at the top", "in a function", "for types alone", "as a text", "PyMC"],
)
def test_a_planted_import_is_found(planted: str) -> None:
    modules = sources(PACKAGE)
    before = broken(modules)
    modules["vtrial.protocol.arms"] = f"{modules['vtrial.protocol.arms']}\n{planted}"
    new = broken(modules) - before
    assert len(new) == 1
    assert new.pop().startswith("vtrial.protocol.arms -> ")


def test_a_planted_circle_is_found() -> None:
    modules = sources(PACKAGE)
    before = in_circles(modules)
    modules["vtrial.model.side"] += "\ndef f():\n    from vtrial.model import world\n    return world\n"
    modules["vtrial.model.world"] += "\nfrom vtrial.model.side import Side\n"
    assert in_circles(modules) - before == {"circle: vtrial.model.side, vtrial.model.world"}


def test_a_relative_import_is_refused() -> None:
    modules = sources(PACKAGE)
    modules["vtrial.protocol.arms"] += "\nfrom . import looks\n"
    with pytest.raises(ValueError, match=r"vtrial\.protocol\.arms, line \d+: a relative import"):
        broken(modules)


def test_the_simulation_knows_nothing_of_files_and_tables() -> None:
    modules = sources(PACKAGE)
    modules["vtrial.trial.run"] += "\nimport pandas\n"
    assert "vtrial.trial.run -> pandas" in broken(modules)
