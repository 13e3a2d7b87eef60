"""Folders of results: whole, or as they were.

A result is a list of parts, files with a name and a function that writes them. `save` writes them all into a hidden
folder inside the one asked for, then swaps them in, manifest.json last: it names every part with its SHA-256. What is
done at each step, and what a process killed there leaves:

1. lock: one process at a time writes into a folder; the others wait. The system frees the lock of a killed process.
2. tidy: finish a swap that a killed process began, delete what others of them left (nobody else writes now).
3. stage: write parts and manifest.json into `.vtrial-<random>/`. Killed: the folder is as it was; the next run tidies.
4. commit: rename that folder to `.vtrial-ready`. Killed from here on: the next run, or `read_manifest`, ends the swap.
5. swap: old manifest.json out, then part by part old out and new in, then the new manifest.json in. A folder seen in
   between has no manifest.json. An error puts the old parts back.
6. delete what was swapped out.

Files that the folder's manifest does not name are somebody else's: they stay, and a part of the same name is refused.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vtrial._support.errors import InputError, OutputError
from vtrial._support.locks import locked, unlocked

MANIFEST = "manifest.json"
FILES = "files"  # of a manifest: SHA-256 by name of part
SEAL = "manifest_sha256"  # of a manifest: the hash of all else in it
_OURS = ".vtrial-"  # begins the names of what is never a part
_LOCK, _READY, _OLD = f"{_OURS}lock", f"{_OURS}ready", "old"
_PATIENCE = 600.0  # seconds to wait for another process
_REMEDY = "give another folder with --out"


@dataclass(frozen=True)
class Part:
    """One file of a result: its name in the folder, and what writes it, given a path."""

    name: str
    write: Callable[[Path], object]


def check_writable(out: str | os.PathLike[str], names: Iterable[str] = (), *, remedy: str = _REMEDY) -> Path:
    """Refuse, before long work, a folder that could not take files of these names; leave it as it was.

    Raises `InputError` that ends in `remedy`.
    """
    folder, names = Path(out), list(names)
    try:
        with _made(folder, keep=False):
            with suppress(TimeoutError), _alone(folder, patience=0.0):  # another process writes there: that is well
                pass
            with tempfile.TemporaryFile(dir=folder, prefix=_OURS):
                pass
            _check_free(folder, [*names, MANIFEST] if names else [], remedy)
    except InputError:
        raise
    except (OSError, ValueError) as problem:
        raise InputError(f"cannot write into {folder}: {_reason(problem)}; {remedy}") from None
    return folder


def save(out: str | os.PathLike[str], parts: Iterable[Part], manifest: dict[str, Any]) -> Path:
    """Write the folder `out`, whole or not at all: parts, then manifest.json with their hashes.

    Parts of an older manifest that are not among them go, unless they were altered since. Raises `InputError` where a
    file that is no part of an older result would be lost, `OutputError` where something cannot be written.
    """
    folder, parts = Path(out), list(parts)
    with _said(f"cannot write {folder}", "; it is as it was"), _made(folder), _alone(folder) as alone:
        _check_free(folder, [*(part.name for part in parts), MANIFEST], _REMEDY)
        staged, ready = Path(tempfile.mkdtemp(dir=folder, prefix=_OURS)), folder / _READY
        try:
            _stage(staged, parts, manifest)
            os.replace(staged, ready)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
        _swap(folder, ready, fresh=True)
        shutil.rmtree(ready, ignore_errors=True)
        _sync(folder)
    if not alone:
        read_manifest(folder)  # locks do not work there: another process may have written at the same time
    return folder


def save_file(path: str | os.PathLike[str], write: Callable[[Path], object]) -> Path:
    """Write one file, whole or not at all. Raises `OutputError`."""
    target = Path(path)
    with _said(f"cannot write {target}", ""), in_turn(target.parent) as staged:
        write(staged / target.name)
        _sync(staged / target.name)
        os.replace(staged / target.name, target)
    return target


@contextmanager
def in_turn(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`, to write files that are then renamed into it; no other process does so now.

    What killed processes left there is deleted. Raises `OSError`.
    """
    with _alone(folder):
        staged = Path(tempfile.mkdtemp(dir=folder, prefix=_OURS))
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)


@contextmanager
def _said(problem: str, afterwards: str) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError) as found:
        raise OutputError(f"{problem}: {_reason(found)}{afterwards}") from None


def read_manifest(out: str | os.PathLike[str]) -> dict[str, Any]:
    """The manifest of a folder that is whole, after every part was compared with its hash.

    Ends the swap of a process that was killed in it. Raises `InputError` that names what is missing or altered.
    """
    folder = Path(out)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    if (folder / _READY).exists():
        try:
            with _alone(folder):
                pass
        except OSError as problem:
            raise InputError(
                f"{folder} is not whole: a process was killed while it wrote there ({_reason(problem)})"
            ) from None
    path = folder / MANIFEST
    manifest = _manifest_in(folder)
    if manifest is None:
        raise InputError(
            f"{path} is altered" if path.is_file() else f"{folder} is not whole: there is no {MANIFEST}, written last"
        )
    if FILES not in manifest:
        raise InputError(f"{path}: names no parts: it was written by an older version; run the scenario again")
    if manifest.get(SEAL) != _seal(manifest):
        raise InputError(f"{path} is altered: its content does not have the hash that it states")
    for name, expected in manifest[FILES].items():
        try:
            found = _sha256(folder / name)
        except FileNotFoundError:
            raise InputError(f"{folder / name} is missing: {folder} is not whole") from None
        except OSError as problem:
            raise InputError(f"{folder / name} cannot be read: {_reason(problem)}") from None
        if found != expected:
            raise InputError(f"{folder / name} is altered: it does not have the hash that {MANIFEST} states")
    return manifest


def _stage(staged: Path, parts: list[Part], manifest: dict[str, Any]) -> None:
    hashes: dict[str, str] = {}
    for part in parts:
        path = staged / part.name
        part.write(path)
        _sync(path)
        hashes[part.name] = _sha256(path)
    whole = manifest | {FILES: hashes}
    whole |= {SEAL: _seal(whole)}
    path = staged / MANIFEST
    path.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
    _sync(path)
    _sync(staged)


def _swap(folder: Path, ready: Path, *, fresh: bool) -> None:
    """Put the parts of a whole staged folder in place; goes on where a killed process left it.

    Undone if it fails; the staged folder then goes too where it is `fresh`, that is where nobody began with it before.
    """
    old, moves = ready / _OLD, list[tuple[Path, Path]]()

    def move(source: Path, target: Path) -> None:
        moves.append((source, target))
        os.replace(source, target)

    try:
        old.mkdir(exist_ok=True)
        new = json.loads((ready / MANIFEST).read_text(encoding="utf-8"))
        if os.path.lexists(folder / MANIFEST):
            move(folder / MANIFEST, old / MANIFEST)
        for name, was in _parts_of(_manifest_in(old) or {}).items():
            if name not in new[FILES] and (folder / name).is_file() and was == _sha256(folder / name):
                move(folder / name, old / name)
        for name in new[FILES]:
            if (ready / name).exists():
                if os.path.lexists(folder / name):
                    move(folder / name, old / name)
                move(ready / name, folder / name)
        move(ready / MANIFEST, folder / MANIFEST)
    except BaseException:
        for source, target in reversed(moves):
            if not os.path.lexists(source):
                os.replace(target, source)
        if fresh:
            (ready / MANIFEST).unlink()  # first: without it nobody takes the folder for one that waits to be swapped in
            shutil.rmtree(ready, ignore_errors=True)
        raise


def _check_free(folder: Path, names: Iterable[str], remedy: str) -> None:
    """Raises `InputError` where a file of one of these names is no part of what vtrial wrote there."""
    manifest = _manifest_in(folder)
    for name in names:
        path = folder / name
        if not os.path.lexists(path):
            continue
        if path.is_dir() and not path.is_symlink():
            raise InputError(f"{path} is a folder, and a file of that name is to be written; {remedy}")
        older = manifest is not None and FILES not in manifest  # of a version that did not name its parts
        if manifest is None or not (older or name == MANIFEST or name in manifest[FILES]):
            raise InputError(f"{path} is no part of an earlier result, and would be lost; move it away or {remedy}")


def _manifest_in(folder: Path) -> dict[str, Any] | None:
    """The manifest that vtrial wrote into a folder, None where there is none."""
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    ours = isinstance(found, dict) and (isinstance(found.get(FILES), dict) or "evidence_sha256" in found)
    return found if ours else None


def _parts_of(manifest: dict[str, Any]) -> dict[str, str]:
    parts = manifest.get(FILES, {})
    return {name: was for name, was in parts.items() if Path(name).name == name and not name.startswith(_OURS)}


@contextmanager
def _made(folder: Path, *, keep: bool = True) -> Iterator[None]:
    """The folder, made if need be. What was made goes again, if empty, where what is inside fails or not `keep`."""
    absent = [path for path in (folder, *folder.parents) if not path.exists()]
    kept = False
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
        kept = keep
    finally:
        if not kept:
            for path in absent:
                with suppress(OSError):
                    path.rmdir()


@contextmanager
def _alone(folder: Path, *, patience: float = _PATIENCE) -> Iterator[bool]:
    """While no other process writes into `folder`, tidied. False where the file system has no locks.

    Raises `OSError`; after `patience` seconds `TimeoutError`.
    """
    handle = locked(folder / _LOCK, patience)
    try:
        if handle is not None:
            _tidy(folder)
        yield handle is not None
    finally:
        if handle is not None:
            unlocked(handle, folder / _LOCK)


def _tidy(folder: Path) -> None:
    """End the swap that a killed process began, and delete what others left."""
    ready = folder / _READY
    if (ready / MANIFEST).exists():
        _swap(folder, ready, fresh=False)
    for path in folder.glob(f"{_OURS}*"):
        if path.name != _LOCK:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal(manifest: dict[str, Any]) -> str:
    rest = {key: value for key, value in manifest.items() if key != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def _sync(path: Path) -> None:
    """Let what was written reach the disk: where there is no room for it, that is said now."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:
        if path.is_dir():  # systems on which a folder cannot be opened
            return
        raise
    try:
        os.fsync(handle)
    except OSError as problem:
        if problem.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def _reason(problem: Exception) -> str:
    return getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
