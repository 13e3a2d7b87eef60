"""What goes wrong because of what was put in, or of where it is to be written, said in one line."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import takewhile


class InputError(ValueError):
    """A study, a scenario, an option or a folder that vtrial cannot use.

    The message is one line that says where, what was given, what is allowed and what to do; a line break that was
    given is shown as ``\\n``. The command line prints it and ends with status 2.
    """

    def __init__(self, message: str) -> None:
        super().__init__("\\n".join(message.splitlines()))


class OutputError(RuntimeError):
    """Something that was worked out and could not be written or printed, such as on a full disk.

    The message is one line. The command line prints it and ends with status 1.
    """


def nearest(given: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """A hint to the name that is most like a wrong one: "; did you mean 'x'?", or "" where none is like it.

    Like it is another word for the same, what begins as it does, and what few slips of the pen make of it: one, or a
    third of the longer name's letters, and fewer than the wrong name has.
    """
    known = list(known)
    stem, dot, last = given.rpartition(".")
    for word in _OTHER_WORDS.get(last.lower(), ()):
        if (name := f"{stem}{dot}{word}") in known:
            return f"; did you mean '{name}'?"
    near = get_close_matches(given, known, n=3, cutoff=cutoff)
    near += [name for name in get_close_matches(given.lower(), known, n=3, cutoff=cutoff) if name not in near]
    for name in near:
        slips = _slips(given.lower(), name.lower())
        same = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(given.lower(), name.lower(), strict=False))
        )
        begins = (same >= 3 and same == min(len(given), len(name))) or same >= max(4, 2 * len(given) / 3)
        if begins or (slips <= max(1, max(len(given), len(name)) // 3) and slips < len(given)):
            return f"; did you mean '{name}'?"
    return ""


# What others call it: R's packages, textbooks.
_OTHER_WORDS = {
    "binomial": ("exact",),
    "power": ("reject",),
    "n": ("infused", "enrolled"),
    "size": ("infused", "enrolled"),
    "p0": ("null",),
    "sided": ("alternative",),
}


def _slips(one: str, other: str) -> int:
    """How many letters must be inserted, deleted or replaced, or swapped with the next, to make one text the other."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, letter in enumerate(one, start=1):
        row = [i]
        for j, wanted in enumerate(other, start=1):
            row.append(min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (letter != wanted)))
            if i > 1 and j > 1 and letter == other[j - 2] and wanted == one[i - 2]:
                row[j] = min(row[j], before[j - 2] + 1)
        before, last = last, row
    return last[-1]
