"""Trials and worlds -> operating characteristics: `table`; by simulation, and without it in `exact/`."""
