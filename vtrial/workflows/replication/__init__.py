"""The paper's own numbers against replications of its trial: `replicate`."""
