"""A trial's actual numbers against a scenario's looks and tests: `decide`."""
