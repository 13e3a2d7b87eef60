"""A lock file that one process at a time holds, and that the system frees where the process is killed."""

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def locked(path: Path, patience: float) -> int | None:
    """A handle that holds the lock; None where there are no locks. A lock file deleted meanwhile is no lock."""
    ends = time.monotonic() + patience
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # another process made the folder, and took it away again
            path.parent.mkdir(parents=True, exist_ok=True)
            continue
        try:
            _lock(handle)
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
            busy = False
        except FileNotFoundError:
            busy = False
        except OSError as problem:
            if problem.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                unlocked(handle, path)
                return None
            busy = True
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if busy and time.monotonic() >= ends:
            raise TimeoutError(errno.ETIMEDOUT, "another process is writing there")
        time.sleep(0.02 if busy else 0.0)


def unlocked(handle: int, path: Path) -> None:
    """Delete the lock file while it is held, where the system can; then let go."""
    if sys.platform != "win32":
        with suppress(OSError):
            path.unlink()
    os.close(handle)
    if sys.platform == "win32":
        with suppress(OSError):  # another process has it open
            path.unlink()
