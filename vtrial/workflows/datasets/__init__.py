"""One simulated trial as ADaM-like datasets."""
