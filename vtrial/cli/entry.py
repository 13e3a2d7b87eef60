"""How a command begins and ends: its help as written, one line and a status for what goes wrong."""

import sys
from typing import Any

import typer

from vtrial._support.errors import InputError, OutputError
from vtrial.cli.console import err, forget_kept, last_kept, plain
from vtrial.cli.terminal import standard_streams


def command(app: typer.Typer) -> Any:
    """All commands, their help texts as they are written: `[solve]` is no markup."""
    found = typer.main.get_command(app)
    waiting: list[Any] = [found]
    while waiting:
        one = waiting.pop()
        for text in (one, *one.params):
            text.help = plain(getattr(text, "help", None) or "")
        waiting += getattr(one, "commands", {}).values()
    return found


def call(app: typer.Typer) -> None:
    """Run a command: bad input ends with one line and status 2, Ctrl-C with 130, and with 1 a refused fit, or what
    could not be written."""
    forget_kept()
    with standard_streams() as printed:
        status, message = _ended(app)
        if printed.failure is not None and not isinstance(printed.failure, BrokenPipeError) and not status:
            status, message = 1, f"standard output cannot be written: {printed.failure.strerror}"
            message += f"; what was worked out is in {last_kept()}/" if last_kept() else ""
        if message:
            err.print(f"[bold red]error:[/] {plain(' '.join(message.splitlines()))}")
    if status:
        sys.exit(status)


def _ended(app: typer.Typer) -> tuple[int, str]:
    """How the command ended: its status, and what to say of it."""
    try:
        status = command(app)(standalone_mode=False, prog_name="vtrial")
    except InputError as problem:
        return 2, str(problem)
    except OutputError as problem:
        return 1, str(problem)
    except (KeyboardInterrupt, typer.Abort):
        status = 130
    except typer.Exit as stop:
        return stop.exit_code, ""
    except MemoryError:
        return 1, "there is not enough memory for this; ask for fewer trials, patients or cells"
    except OSError as problem:
        of = f"{problem.filename}: " if problem.filename else ""
        return 1, f"{of}{problem.strerror or problem}"
    except Exception as problem:  # click's own usage errors, told apart by what they can do
        from vtrial.model.posterior import FitError

        if isinstance(problem, FitError):
            return 1, str(problem)
        show = getattr(problem, "show", None)
        if show is None:
            raise
        show()
        return 2, ""
    if status == 130:  # with some versions of typer, the only word of Ctrl-C
        return 130, "interrupted; nothing half-written was left"
    return status or 0, ""
