"""A folder that `vtrial run` wrote, read back: nothing is fitted or simulated."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from vtrial._support import folders
from vtrial._support.errors import InputError
from vtrial._support.validation import read_toml
from vtrial.scenario import Scenario, from_dict
from vtrial.workflows.files import CHARACTERISTICS, DIFFERENCES, SCENARIO, TRIALS, read_table


@dataclass(frozen=True, repr=False)
class SavedResult:
    """What a scenario answered, as it lies in a folder.

    scenario: as it was run, trials and seed included: `vtrial.run` takes it. characteristics, differences: the tables
    of `Result`, differences without a row where nothing was swept. manifest: provenance, and the SHA-256 of each file.
    """

    folder: Path
    scenario: Scenario
    characteristics: pd.DataFrame
    differences: pd.DataFrame
    manifest: dict[str, Any]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """A row a trial and cell, read when first asked for."""
        return pd.read_parquet(self.folder / TRIALS)

    def __repr__(self) -> str:
        cells, trials = self.manifest["cells"], self.manifest["trials"]
        return f"<vtrial.SavedResult of '{self.scenario.name}': {cells} cells of {trials:,} trials, {self.folder}>"


def load_result(folder: str | os.PathLike[str]) -> SavedResult:
    """Read back a folder that `vtrial run` or `Result.save` wrote.

    Raises `InputError` that names the file where the folder is not whole, or was altered since.
    """
    there = Path(folder)
    manifest = folders.read_manifest(there)
    for name in (CHARACTERISTICS, TRIALS, SCENARIO):
        if name not in manifest[folders.FILES]:
            raise InputError(f"{there}: holds no {name}: it is not what vtrial run wrote (see {folders.MANIFEST})")
    file = there / SCENARIO
    scenario = from_dict(read_toml(file, str(file)), name=str(manifest["scenario"]), where=str(file))
    swept = DIFFERENCES in manifest[folders.FILES]
    return SavedResult(
        folder=there,
        scenario=scenario,
        characteristics=read_table(there / CHARACTERISTICS),
        differences=read_table(there / DIFFERENCES) if swept else pd.DataFrame(),
        manifest=manifest,
    )
