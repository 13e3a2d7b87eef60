"""Whether the looks of a design have names of their own in the tables of results; `TestSection` sees to tests."""

from collections import Counter
from typing import Any


def check_names(design: Any) -> None:
    """Whether looks have metrics of their own. Raises `ValueError` that names the two."""
    # `stop.<name>.…`: of a section, and of each look of one that has several.
    names = [section.name for section in design.look]
    names += [one.name for section in design.look if len(section.each) > 1 for one in section.each]
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise ValueError(f"[[look]] '{twice[0]}': metrics of two looks would be named stop.{twice[0]}; rename one")
