"""Facts that the models have not seen: a dose, or an adverse event, left out of the fit and predicted by the rest."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pandas as pd

from vtrial.evidence import Evidence
from vtrial.evidence.facts import as_id
from vtrial.model.posterior import Posterior
from vtrial.workflows.replication.coverage import coverage
from vtrial.workflows.replication.predicted import COLUMNS, compared, predicted


def doses_left_out(evidence: Evidence) -> Iterator[tuple[str, frozenset[str]]]:
    """Each dose in words, and the facts that are published of it alone; none where the study had one dose.

    Facts of all doses together stay, but for totals that tell what is left out, and what rests on these.
    """
    if len(evidence.doses) < 2:
        return
    facts = evidence.facts
    for dose in map(as_id, evidence.doses):
        at = (facts["dose"] == dose) & facts["use"].isin(["fit", "check"])
        yield f"dose {dose}", frozenset(map(str, facts.index[at]))


def events_left_out(evidence: Evidence) -> Iterator[tuple[str, frozenset[str]]]:
    """Each event that is pooled with others, and its facts of all grades."""
    pooled: dict[str, set[str]] = {}
    for section in evidence.priors.flags.values():
        for one in section.drawn:
            if one.pool:
                pooled.setdefault(one.name.rsplit(".", 1)[0], set()).add(one.name)
    for event, names in pooled.items():
        yield event, frozenset(f for f in map(str, evidence.facts.index) if f.removesuffix(".all") in names)


def left_out(
    evidence: Evidence,
    *,
    trials: int,
    seed: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> pd.DataFrame:
    """The left-out facts against replications of a fit without them; columns as `compared`, and `left_out`.

    Each is a fit of its own, which is not kept. Times are fitted again only where a fact on them is left out. Raises
    `FitError`.
    """
    from vtrial.fitting.sample import sample

    core = evidence.without("survival")
    of_times = set(evidence.reads("survival"))
    events = list(events_left_out(evidence))
    of_events = frozenset(fact for _, facts in events for fact in facts)  # all simulated: one program serves each
    folds = [*((name, facts, facts) for name, facts in doses_left_out(evidence))]
    folds += [(name, facts, of_events) for name, facts in events]
    tables = []
    for number, (name, facts, simulated) in enumerate(folds):
        if progress is not None:
            progress("refitting without a dose or an event", number, len(folds))
        timed = "survival" in evidence.systems and bool(facts & of_times)
        fewer = (evidence if timed else core).without_facts(facts)
        posterior = Posterior(evidence.study, sample(fewer), key="", sha256="")
        fewer = fewer.without_unfitted(posterior.unfitted)
        found = coverage(fewer)
        found = replace(found, covered=tuple(one for one in found.covered if one.fact in simulated))
        drawn = predicted(fewer, posterior, found, trials=trials, seed=seed)
        tables.append(compared(fewer, found, drawn, only=facts).assign(left_out=name))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=[*COLUMNS, "left_out"])
