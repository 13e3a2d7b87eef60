"""Runs, fits and replications killed at random: `python -m tests.fuzz.kills [--number 100] [--seed 1]`.

Each is begun in a folder that is absent or holds an earlier result, and killed (`kill -9`, every third by Ctrl-C) at
a random time, every second one just when it writes. What then lies there is absent, the earlier result, or the new
one, whole; and the next run, which begins with the caches that the kill left, ends well and leaves nothing but its
result. A line a kind is printed, and the exit status says whether all held.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests import ROOT
from vtrial._support.errors import InputError
from vtrial._support.folders import MANIFEST, Part, check_writable, read_manifest, save
from vtrial.model.posterior import load

STUDY = ROOT / "priors" / "invented"
SCENARIO = """
[world]
study = "{study}"

[cohort]
enrolled = 30

[[test]]
name = "orr"
endpoint = "orr"
null = 0.4

[simulation]
trials = 400
endpoints = ["orr"]
"""


@dataclass(frozen=True)
class Kind:
    """What is killed. arguments: of the command; writes: where it writes, in the folder that it is run in."""

    name: str
    share: float
    arguments: tuple[str, ...]
    writes: str


KINDS = (
    Kind("run", 0.5, ("run", "small.toml", "--out", "out"), "out"),
    Kind("replicate", 0.3, ("replicate", str(STUDY), "--trials", "400", "--out", "out"), "out"),
    Kind("fit", 0.2, ("fit", str(STUDY)), "cache/posteriors"),
)


def main() -> None:
    """Kill them all."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz.kills")
    asked.add_argument("--number", type=int, default=100)
    asked.add_argument("--seed", type=int, default=1)
    given = asked.parse_args()
    chance, bad = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        for kind in KINDS:
            bad += _kills(kind, round(kind.share * given.number), Path(folder) / kind.name, chance)
    sys.exit(bad > 0)


def _kills(kind: Kind, number: int, home: Path, chance: random.Random) -> int:
    home.mkdir()
    (home / "small.toml").write_text(SCENARIO.format(study=STUDY))
    _ended(kind, home)  # fills the caches
    target = home / kind.writes
    _cleared(target)
    began = time.monotonic()
    _ended(kind, home)
    lasts = time.monotonic() - began
    whole = _contents(target)
    seen = dict.fromkeys(("absent", "as it was", "new", "ended before"), 0)
    wrong: list[str] = []
    for turn in range(number):
        earlier = turn % 4 >= 2 and kind.name != "fit"
        _cleared(target)
        before = _earlier(target) if earlier else {}
        process = _begun(kind, home)
        _wait(process, target, chance, lasts, at_write=turn % 2 == 1)
        if process.poll() is None:
            process.send_signal(signal.SIGINT if turn % 3 == 0 else signal.SIGKILL)
        process.communicate()
        ended = process.returncode == 0
        if process.returncode not in (0, -signal.SIGKILL, 130, -signal.SIGINT):
            wrong.append(f"turn {turn}: status {process.returncode}")
        state = _state(kind, target, before, whole)
        seen["ended before" if ended else state] = seen.get("ended before" if ended else state, 0) + 1
        if state not in ("absent", "as it was", "new"):
            wrong.append(f"turn {turn}: {state}")
        if turn % 5 == 4:
            wrong += [f"turn {turn}: {text}" for text in _after(kind, home, target, whole)]
    parts = ", ".join(f"{many} {name}" for name, many in seen.items())
    print(f"{kind.name}: {number} killed of {lasts:.1f} s each; {parts}; {len(wrong)} wrong", flush=True)
    for text in wrong:
        print(f"  {text}")
    return len(wrong)


def _begun(kind: Kind, home: Path) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT), "VTRIAL_CACHE": str(home / "cache")}
    call = [sys.executable, "-m", "vtrial.cli", *kind.arguments]
    return subprocess.Popen(call, cwd=home, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def _ended(kind: Kind, home: Path) -> str:
    """Run it to its end. Raises `RuntimeError` where it fails; returns what it printed on stderr."""
    process = _begun(kind, home)
    out, err = process.communicate(timeout=900)
    if process.returncode:
        raise RuntimeError(f"{kind.name} ended with {process.returncode}: {out} {err}")
    return err


def _cleared(target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)


def _earlier(target: Path) -> dict[str, str]:
    """An earlier result in its place: what it holds."""
    texts = {"characteristics.csv": "earlier", "report.html": "an earlier page", "gone.csv": "only in the earlier"}
    save(
        target, [Part(name, lambda path, text=text: path.write_text(text)) for name, text in texts.items()], {"seed": 0}
    )
    return _contents(target)


def _wait(
    process: "subprocess.Popen[str]", target: Path, chance: random.Random, lasts: float, *, at_write: bool
) -> None:
    """Until a random time, or until it writes and some milliseconds more."""
    ends = time.monotonic() + (3.0 * lasts if at_write else chance.uniform(0.0, 1.05 * lasts))
    while time.monotonic() < ends and process.poll() is None:
        if at_write and any(target.rglob(".vtrial-*/*")):
            time.sleep(chance.uniform(0.0, 0.25 * lasts) if chance.random() < 0.5 else chance.uniform(0.0, 0.01))
            return
        time.sleep(0.001)


def _state(kind: Kind, target: Path, before: dict[str, str], whole: dict[str, str]) -> str:
    """What lies there: "absent", "as it was", "new"; anything else is wrong."""
    if kind.name == "fit":
        return _state_of_cache(target)
    if not (target / MANIFEST).exists() and not list(target.glob(".vtrial-*")):
        left = sorted(path.name for path in target.iterdir()) if target.exists() else []
        return "absent" if not left else f"half of it: {left}"
    try:
        check_writable(target, whole)
        read_manifest(target)
    except InputError as problem:
        if not before and target.exists() and not _contents(target):
            return "absent"
        return "absent" if not target.exists() else f"not whole: {problem}"
    found = _contents(target)
    if found == before:
        return "as it was"
    return "new" if set(found) == set(whole) else f"mixed: {sorted(found)}"


def _state_of_cache(target: Path) -> str:
    for folder in target.iterdir() if target.exists() else ():
        if load(folder) is not None:
            return "new"
    return "absent"


def _after(kind: Kind, home: Path, target: Path, whole: dict[str, str]) -> list[str]:
    """What is wrong after the next run."""
    wrong = []
    if said := [line for line in _ended(kind, home).splitlines() if "arning" in line or "rror" in line]:
        wrong.append(f"the next run says {said[0]}")
    found = _contents(target)
    if set(found) != set(whole):
        wrong.append(f"the next run leaves {sorted(set(found) ^ set(whole))}")
    if left := [str(path.relative_to(home)) for path in home.rglob(".vtrial-*")]:
        wrong.append(f"the next run leaves {left}")
    return wrong


def _contents(folder: Path) -> dict[str, str]:
    """Files of a folder and all below it, by name, with their hashes; not those that are hidden."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
