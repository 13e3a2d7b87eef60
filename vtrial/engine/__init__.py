"""Many trials, in blocks: the one place where programs are compiled."""
