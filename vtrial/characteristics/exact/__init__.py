"""The same metrics without simulation: `fixed` at the final analysis, `sequential` over looks."""
