"""What a scenario answered: the tables, what they are made of, and what is worked out of them when first asked for.

The report reads this; how it shows itself is `result.Result`.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from vtrial._support.errors import InputError
from vtrial.characteristics import metrics
from vtrial.characteristics.metric import Metric
from vtrial.characteristics.table import exact_by_world, true_by_world
from vtrial.evidence import Evidence
from vtrial.model.posterior import Posterior
from vtrial.protocol.build import Protocol
from vtrial.scenario import Scenario
from vtrial.workflows import comparisons
from vtrial.workflows.illustrations import Illustrations, illustrations


@dataclass(frozen=True, repr=False)
class ResultData:
    """What a scenario answered, without its views.

    characteristics: the tidy table of operating characteristics. trials: a row a trial and cell. protocols: the
    cells as they were run. manifest: provenance. warnings: what should be known beside the answer, a sentence each: a
    size above alpha, and what is almost surely a slip.
    """

    scenario: Scenario
    evidence: Evidence
    posteriors: dict[float, Posterior]
    protocols: tuple[Protocol, ...]
    characteristics: pd.DataFrame
    trials: pd.DataFrame
    manifest: dict[str, Any]
    warnings: tuple[str, ...] = ()

    @property
    def posterior(self) -> Posterior:
        """The posterior of the first cell."""
        return self.posteriors[self.protocols[0].design.world.discount]

    def value(self, metric: str, *, cell: int = 0, method: str = "simulated") -> tuple[float, float]:
        """Estimate and Monte Carlo standard error of a metric. Raises `InputError` where there is none, or two."""
        table = self.characteristics
        row = table[(table["cell"] == cell) & (table["metric"] == metric) & (table["method"] == method)]
        if row.empty:
            known = ", ".join(dict.fromkeys(table["metric"]))
            raise InputError(f"there is no {method} metric '{metric}' in cell {cell} (metrics: {known})")
        if len(row) > 1:
            raise InputError(f"there are {len(row)} {method} metrics '{metric}' in cell {cell}")
        return float(row["estimate"].iloc[0]), float(row["mcse"].iloc[0])

    def differences(self) -> pd.DataFrame:
        """Each cell of a sweep minus the first: cells meet the same patients.

        Of each difference its Monte Carlo error and limits; of true rates and exact probabilities over the worlds of a
        posterior also the interval over worlds and the probability of being positive. Empty without a sweep. See
        `vtrial.workflows.comparisons.table`.
        """
        return self._differences.copy()

    @cached_property
    def _differences(self) -> pd.DataFrame:
        return comparisons.table(self.scenario, self.protocols, self.trials, self.metrics)

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The metrics that the tables can have, by name: what each is in words, and its unit."""
        return metrics.by_name(self.protocols)

    @cached_property
    def illustrations(self) -> Illustrations:
        """What the report shows beside the tables, of the first cell: simulated when first asked for."""
        first = self.trials[self.trials["cell"] == 0]
        return illustrations(self.protocols[0], self.posterior, first, self.scenario.where)

    def worlds(self, *, cell: int = 0) -> pd.DataFrame:
        """A row a world: its true rates, and what is known exactly of the design there (power against the true rate).

        Raises `InputError` for a cell that is not there.
        """
        protocol = self.protocols[self.there(cell)]
        seed = self.scenario.design.simulation.seed
        lived, found, _ = exact_by_world(protocol, seed)
        return pd.DataFrame(true_by_world(protocol, lived) | found)

    def there(self, cell: int) -> int:
        """The number of a cell. Raises `InputError` where there is none."""
        if not 0 <= cell < len(self.protocols):
            raise InputError(f"cell {cell} is not there (0 to {len(self.protocols) - 1})")
        return cell
