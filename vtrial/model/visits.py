"""When patients are seen. Plain Python: a scenario is checked by it."""


def visits_fit(schedule: list[float], window: float) -> None:
    """Raises `ValueError` where visits do not increase, or are so wide that they could change places.

    A single visit is repeated at its own interval.
    """
    before = 0.0
    if len(schedule) == 1 and 0 < schedule[0] < 2 * window - 1e-9:
        schedule = [schedule[0], 2 * schedule[0]]
    for number, month in enumerate(schedule):
        if month <= before:
            raise ValueError(f"visits must increase from above 0, but {month:g} follows {before:g}")
        if month - before < (window if number == 0 else 2 * window) - 1e-9:
            raise ValueError(f"a window of {window:g} months lets the visits {before:g} and {month:g} change places")
        before = month
