"""A rule -> its bounds for every n. On the host, float64; the engine, the exact answers and a decision on
real data read the same table."""
