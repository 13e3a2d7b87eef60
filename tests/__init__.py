"""Tests of vtrial: folders mirror the package's; twins, reference values of other programs and snapshots apart."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "tests" / "reference"  # what other programs gave, with the scripts that asked them
