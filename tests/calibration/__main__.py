"""Simulation-based calibration of the fit of time to event (Talts et al. 2018, arXiv 1804.06788).

    python -m tests.calibration [--trials 200] [--workers 2] [--at prior|posterior]

Truths from the prior (or: one truth, the posterior mean, for coverage); a KarMMa simulated in each, patient by patient,
with visits, accrual, censoring and rounding; its printed summaries fitted; the rank of the true S(6), S(12), S(18) of
documented PFS and of OS among the posterior's, by dose and by best response.
"""

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pandas as pd

from tests.calibration.bands import OUT, report
from tests.calibration.fits import KEPT, one, setting


def main():
    """Run, then write the ranks."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--at", choices=("prior", "posterior"), default="prior")
    parser.add_argument("--seed", type=int, default=2021)
    options = parser.parse_args()
    setting()  # fitted once, before the workers ask
    tasks = [(number, options.at, options.seed) for number in range(options.trials)]
    rows, began = [], time.time()
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for done, found in enumerate(pool.map(one, tasks), 1):
            rows += found
            pd.DataFrame(rows).to_csv(OUT / f"ranks-{options.at}.csv.part", index=False)
            print(f"{done} of {len(tasks)} fitted, {time.time() - began:.0f} s", file=sys.stderr, flush=True)
    report(pd.DataFrame(rows), options.at, KEPT, options.seed)
    (OUT / f"ranks-{options.at}.csv.part").unlink()


if __name__ == "__main__":
    main()
