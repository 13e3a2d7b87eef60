"""Many trials, in blocks: the one place where programs of trials are compiled."""
