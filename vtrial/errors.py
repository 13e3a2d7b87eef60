"""What goes wrong because of what was put in, or of where it is to be written, said in one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A study, a scenario, an option or a folder that vtrial cannot use.

    The message is one line that says where, what was given, what is allowed and what to do. The command
    line prints it and ends with status 2.
    """


class OutputError(RuntimeError):
    """Something that was worked out and could not be written or printed, such as on a full disk.

    The message is one line. The command line prints it and ends with status 1.
    """


def nearest(given: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """A hint to the name that is most like a wrong one: "; did you mean 'x'?", or "" where none is like it."""
    near = get_close_matches(given, list(known), n=1, cutoff=cutoff)
    return f"; did you mean '{near[0]}'?" if near else ""
