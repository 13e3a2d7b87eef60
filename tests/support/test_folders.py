"""Folders of results: whole or as they were, whatever is killed, full, in the way, or writing at the same time."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ROOT
from vtrial._support import folders, locks
from vtrial._support.errors import InputError, OutputError
from vtrial._support.folders import Part, check_writable, read_manifest, save, save_file

OLD = {"table.csv": "old table", "gone.csv": "only in the old one", "page.html": "old page"}
NEW = {"table.csv": "new table", "page.html": "new page", "more.csv": "only in the new one"}


def parts(texts: dict[str, str]) -> list[Part]:
    return [Part(name, lambda path, text=text: path.write_text(text)) for name, text in texts.items()]


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.name != "manifest.json"}


def test_a_folder_names_every_part_with_its_hash(tmp_path: Path) -> None:
    folder = save(tmp_path / "a" / "b", parts(OLD), {"seed": 5})
    assert contents(folder) == OLD
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["files"] == {name: hashlib.sha256(text.encode()).hexdigest() for name, text in OLD.items()}
    assert read_manifest(folder) == manifest
    assert manifest["seed"] == 5


def test_a_later_result_takes_the_place_of_an_earlier_one_and_leaves_what_is_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "notes.txt").write_text("mine")
    (tmp_path / "notes.txt").write_text("mine")
    save(tmp_path, parts(OLD), {})
    save(tmp_path, parts(NEW), {})
    assert contents_but(tmp_path, "kept") == NEW | {"notes.txt": "mine"}
    assert (tmp_path / "kept" / "notes.txt").read_text() == "mine"


def contents_but(folder: Path, *others: str) -> dict[str, str]:
    return {p.name: p.read_text() for p in folder.iterdir() if p.name not in ("manifest.json", *others)}


def test_a_part_that_goes_and_was_altered_stays(tmp_path: Path) -> None:
    save(tmp_path, parts(OLD), {})
    (tmp_path / "gone.csv").write_text("with my notes")
    save(tmp_path, parts(NEW), {})
    assert contents(tmp_path) == NEW | {"gone.csv": "with my notes"}


@pytest.mark.parametrize("name", ["page.html", "manifest.json"])
def test_somebody_elses_file_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"name": "another program"}')
    for act in (lambda: check_writable(tmp_path, NEW), lambda: save(tmp_path, parts(NEW), {})):
        with pytest.raises(InputError, match=rf"{name} is no part of an earlier result.*another folder with --out"):
            act()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == '{"name": "another program"}'


def test_a_folder_of_an_older_version_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("of a version that did not name its parts")
    (tmp_path / "manifest.json").write_text('{"scenario": "a", "evidence_sha256": "b"}')
    with pytest.raises(InputError, match=r"manifest\.json: names no parts"):
        read_manifest(tmp_path)
    save(tmp_path, parts(NEW), {})
    assert contents(tmp_path) == NEW


def test_a_folder_where_a_file_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "page.html").mkdir()
    with pytest.raises(InputError, match=r"page\.html is a folder, and a file of that name is to be written"):
        check_writable(tmp_path, NEW)


@pytest.mark.parametrize("out", ["taken", "taken/inside", "x" * 300, "absent/" + "x" * 300, "a\0b"])
def test_a_folder_that_cannot_be_is_refused_and_nothing_is_made(tmp_path: Path, out: str) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match=r"cannot write into .*; give another folder with --out$"):
        check_writable(tmp_path / out, NEW)
    with pytest.raises(OutputError, match="cannot write "):
        save(tmp_path / out, parts(NEW), {})
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_check_leaves_nothing(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b", NEW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_leaves_the_folder_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The disk is full at the first, second, third part, and at the manifest."""
    calls = iter(range(100))

    def sync(path: Path) -> None:
        if not path.is_dir() and next(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save(tmp_path / "out", parts(OLD), {})
    monkeypatch.setattr(folders, "_sync", sync)
    for folder in ("out", "new/out"):
        calls = iter(range(100))
        with pytest.raises(OutputError, match=r"cannot write .*out: No space left on device; it is as it was$"):
            save(tmp_path / folder, parts(NEW), {})
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert contents(tmp_path / "out") == OLD
    read_manifest(tmp_path / "out")


def test_what_fails_in_the_swap_is_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At each rename: as where another program has a file open (Windows), and by Ctrl-C."""
    save(tmp_path, parts(OLD), {})
    replace, count = os.replace, 0
    for failing in range(2, 100):
        for failure in (PermissionError(errno.EACCES, "Permission denied"), KeyboardInterrupt()):
            count = 0

            def replacing(*paths: Path, failing: int = failing, failure: BaseException = failure) -> None:
                nonlocal count
                count += 1
                if count == failing:
                    raise failure
                replace(*paths)

            monkeypatch.setattr(os, "replace", replacing)
            try:
                save(tmp_path, parts(NEW), {})
            except (OutputError, KeyboardInterrupt):
                assert contents(tmp_path) == OLD, failing
                read_manifest(tmp_path)
            else:
                assert contents(tmp_path) == NEW
                assert failing > 7
                return
    pytest.fail("it never ended")


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from vtrial._support.folders import Part, check_writable, read_manifest, save
from tests.support.test_folders import NEW, OLD, contents_but, parts

folder, watched = Path(sys.argv[1]), {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}
before = [] if sys.argv[2] == "absent" else [OLD]
seen = {"old": 0, "new": 0, "absent": 0, "waits": 0}
for step in range(1, 1000):
    shutil.rmtree(folder, ignore_errors=True)
    for texts in before:
        save(folder, parts(texts), {})
        (folder / "notes.txt").write_text("mine")
    pid = os.fork()
    if pid == 0:
        left = step
        def killed(event, arguments):
            global left
            if event in watched:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(killed)
        save(folder, parts(NEW), {})
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status == 0:
        break
    assert os.WTERMSIG(status) == signal.SIGKILL, status
    seen["waits"] += (folder / ".vtrial-ready").exists()
    mine = {"notes.txt": "mine"} if before else {}
    if before or (folder / "manifest.json").exists() or (folder / ".vtrial-ready").exists():
        assert before == [] or (folder / "notes.txt").read_text() == "mine"
        read_manifest(folder)
    check_writable(folder, NEW)
    if not folder.exists() or not list(folder.iterdir()):
        assert not before
        seen["absent"] += 1
        continue
    found = contents_but(folder)
    assert found in (OLD | mine, NEW | mine), (step, found)
    read_manifest(folder)
    seen["old" if found == OLD | mine else "new"] += 1
assert status == 0
assert min(seen["new"], seen["waits"], seen["old"] if before else seen["absent"]) >= 5, seen
print("every step:", step)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 is of POSIX")
@pytest.mark.parametrize("before", ["absent", "old"])
def test_kill_9_at_any_step_leaves_it_whole_or_as_it_was(tmp_path: Path, before: str) -> None:
    """Killed at each opening, renaming, making and deleting of a file: after tidying, all is old or all is new."""
    assert ended(in_a_process(KILLED, tmp_path / "out", before)).startswith("every step:")


def ended(process: "subprocess.Popen[str]") -> str:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out


def in_a_process(code: str, *arguments: object) -> "subprocess.Popen[str]":
    call = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(call, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


TWO = """
import sys, time
from pathlib import Path
from vtrial._support.folders import Part, save

folder, mark = Path(sys.argv[1]), sys.argv[2]
for number in range(30):
    text = f"{mark}{number}"
    names = ["table.csv", "page.html", "extra.csv"][: 3 if mark == "a" else 2]
    save(folder, [Part(name, lambda path: (time.sleep(0.002), path.write_text(text))) for name in names], {"of": text})
"""


def test_two_processes_with_one_folder_do_not_mix(tmp_path: Path) -> None:
    """Each time one looks, every part that the manifest names is of the same result."""
    processes = [in_a_process(TWO, tmp_path / "out", mark) for mark in "ab"]
    for process in processes:
        ended(process)
    manifest = read_manifest(tmp_path / "out")
    assert set(contents(tmp_path / "out").values()) == {manifest["of"]}
    assert set(contents(tmp_path / "out")) == set(manifest["files"])


SLOW = """
import sys, time
from pathlib import Path
from vtrial._support.folders import Part, save

folder, go = Path(sys.argv[1]), Path(sys.argv[2])
def write(path):
    path.write_text("slow")
    while not go.exists():
        time.sleep(0.01)
save(folder, [Part("table.csv", write)], {})
"""


def test_what_a_live_process_writes_is_not_swept(tmp_path: Path) -> None:
    out, go = tmp_path / "out", tmp_path / "go"
    process = in_a_process(SLOW, out, go)
    until(lambda: any(out.glob(".vtrial-*/table.csv")))
    check_writable(out, NEW)
    assert any(out.glob(".vtrial-*/table.csv"))
    go.touch()
    save(out, parts(NEW), {})
    ended(process)
    assert contents(out) == NEW
    process = in_a_process(SLOW, out, tmp_path / "never")
    until(lambda: any(out.glob(".vtrial-*/table.csv")))
    process.kill()
    process.communicate()
    assert any(out.glob(".vtrial-*"))
    check_writable(out, NEW)
    assert contents(out) == NEW


def until(happened: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < ends, "what the test waits for did not happen"
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("alter", "words"),
    [
        (lambda folder: (folder / "table.csv").write_text("1"), "table.csv is altered"),
        (lambda folder: (folder / "table.csv").unlink(), "table.csv is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "is not whole: there is no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "manifest.json is altered"),
        (
            lambda folder: (folder / "manifest.json").write_text(
                (folder / "manifest.json").read_text().replace('"seed": 5', '"seed": 6')
            ),
            "manifest.json is altered",
        ),
    ],
)
def test_a_folder_that_is_not_whole_is_not_read(tmp_path: Path, alter: Callable[[Path], object], words: str) -> None:
    save(tmp_path, parts(OLD), {"seed": 5})
    alter(tmp_path)
    with pytest.raises(InputError, match=words):
        read_manifest(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        read_manifest(tmp_path / "absent")


def test_where_locks_do_not_work_a_folder_is_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(_: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks, "_lock", lock)
    save(tmp_path, parts(OLD), {})
    save(tmp_path, parts(NEW), {})
    assert contents(tmp_path) == NEW


def test_a_single_file_is_whole_or_as_it_was(tmp_path: Path) -> None:
    def half(path: Path) -> None:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    file = save_file(tmp_path / "page.html", lambda path: path.write_text("whole"))
    with pytest.raises(OutputError, match=r"cannot write .*page\.html: No space left on device"):
        save_file(file, half)
    assert contents(tmp_path) == {"page.html": "whole"}
