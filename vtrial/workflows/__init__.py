"""What a user does: run, solve, decide (`monitor`), replicate, datasets; and the files that are written."""
