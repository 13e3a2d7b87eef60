"""Random streams: each has one number and one place that draws from it, on the device and on the host."""

import ast
from collections import defaultdict
from functools import cache
from itertools import combinations
from pathlib import Path

import jax
import numpy as np
import pytest

import vtrial
from vtrial.model.streams import HostStream, Process, host_rng
from vtrial.model.world import World, permuted

PACKAGE = Path(vtrial.__file__).parent
HOME = "model/streams.py"
# Calls that draw from the streams named in them, and functions that list what `streams` then draws.
DRAWING, LISTING = {"fold_in", "uniforms", "streams", "host_rng"}, {"processes"}
GENERATORS = {"default_rng", "RandomState", "SeedSequence", "Generator", "PRNGKey", "PCG64", "Philox", "MT19937"}
KEYS = {"engine/run.py"}  # where seeds become keys of trials
# Expansion is correlated with the patient's own time to progression, so it reads the same numbers again.
MEANT = {("PROGRESSION", "trial/patients/kinetics.py:expansion")}


parsed = cache(ast.parse)


def sources() -> dict[str, str]:
    """Every module's text by its path in the package."""
    return {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}


def called(node: ast.Call) -> str:
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def own_generators(texts: dict[str, str]) -> list[str]:
    """Places that make a generator or a key of their own instead of naming a stream."""
    found = []
    for path, text in texts.items():
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
                found.append(f"{path}:{node.lineno} import random")
            if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random", "jax.random"):
                found.append(f"{path}:{node.lineno} from {node.module}")
            if not isinstance(node, ast.Call):
                continue
            whole = ast.unparse(node.func)
            of_numpy = whole.startswith(("np.random.", "numpy.random."))
            of_jax = whole == "jax.random.key" and path not in KEYS
            if path != HOME and (called(node) in GENERATORS or of_numpy or of_jax):
                found.append(f"{path}:{node.lineno} {whole}")
    return found


def places(texts: dict[str, str]) -> dict[tuple[str, str], set[str]]:
    """By stream (enum, member): the functions that draw from it, as "path:function"."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)

    def named(node: ast.AST, where: str) -> None:
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and getattr(part.value, "id", "") in ("Process", "HostStream"):
                found[part.value.id, part.attr].add(where)  # type: ignore[attr-defined]

    def walk(node: ast.AST, path: str, function: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = child.name if isinstance(child, ast.FunctionDef) else function
            if isinstance(child, ast.FunctionDef) and child.name in LISTING:
                named(child, f"{path}:{child.name}")
            elif isinstance(child, ast.Call) and called(child) in DRAWING:
                for argument in (*child.args, *(keyword.value for keyword in child.keywords)):
                    named(argument, f"{path}:{inner}")
            walk(child, path, inner)

    for path, text in texts.items():
        walk(parsed(text), path, "")
    return found


def repeated(texts: dict[str, str]) -> dict[tuple[str, str], set[str]]:
    """Streams that more than one place draws from."""
    by_stream = {key: {p for p in where if (key[1], p) not in MEANT} for key, where in places(texts).items()}
    return {key: where for key, where in by_stream.items() if len(where) > 1}


def test_no_module_makes_a_generator_of_its_own():
    assert own_generators(sources()) == []


def test_every_stream_is_drawn_from_in_one_place():
    assert repeated(sources()) == {}
    drawn = places(sources())
    assert {name for enum, name in drawn if enum == "HostStream"} == set(HostStream.__members__)
    assert {name for enum, name in drawn if enum == "Process"} == set(Process.__members__)


@pytest.mark.parametrize(
    "planted",
    [
        "def mixed(seed):\n    return np.random.default_rng(seed).standard_normal(3)\n",
        "def mixed(seed):\n    return np.random.RandomState(seed)\n",
        "from numpy.random import default_rng\n",
        "def other(seed):\n    return jax.random.key(seed)\n",
    ],
)
def test_a_planted_generator_is_found(planted):
    assert own_generators({"planted.py": planted})


@pytest.mark.parametrize(
    "planted",
    [
        "def mixed(seed):\n    return host_rng(seed, HostStream.WORLD_ORDER)\n",
        "def visits(key):\n    return jax.random.fold_in(key, Process.DELAY)\n",
        "def processes():\n    return (Process.CRS, Process.NEW_THERAPY)\n",
    ],
)
def test_a_planted_repetition_is_found(planted):
    assert repeated(sources() | {"planted.py": planted})


def test_numbers_of_streams_stay():
    """Append only: a number that moves moves every result."""
    assert [stream.name for stream in HostStream] == ["WORLD_ORDER", "EXPANSION", "CASE_MIX", "PRIOR", "STARTS"]
    assert [int(stream) for stream in HostStream] == list(range(5))
    assert [int(process) for process in Process] == list(range(27))
    assert (Process.RESPONSE, Process.BETWEEN_TRIAL, Process.VISITS, Process.EXPANSION) == (2, 7, 18, 26)
    # every member has a name of its own: an alias would be a stream under two names
    assert len(HostStream.__members__) == len(HostStream)
    assert len(Process.__members__) == len(Process)


def test_host_streams_and_seeds_share_no_numbers():
    drawn = {(s, k): host_rng(s, k).standard_normal(500) for s in (0, 1, 2, 3, 2**32 - 1) for k in HostStream}
    for one, other in combinations(drawn.values(), 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(500)
        assert not np.intersect1d(one, other).size


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_of_more_than_one_word_is_refused(seed):
    with pytest.raises(ValueError, match="from 0 to"):
        host_rng(seed, HostStream.WORLD_ORDER)


def test_the_order_of_worlds_is_that_of_earlier_versions():
    """The first five of ten worlds at seed 1, as drawn before streams had names."""
    worlds = World(np.arange(10.0)[:, None], np.zeros((10, 1)))
    assert permuted(worlds, 1).intercept[:5, 0].tolist() == [8.0, 4.0, 7.0, 0.0, 1.0]


def test_device_streams_share_no_numbers():
    key = jax.random.key(3, impl="threefry2x32")
    drawn = [np.asarray(jax.random.uniform(jax.random.fold_in(key, p), (400,), dtype=np.float32)) for p in Process]
    for one, other in combinations(drawn, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 5 / np.sqrt(400)
