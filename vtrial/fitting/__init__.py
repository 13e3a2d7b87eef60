"""Evidence -> Posterior: the only room that imports PyMC.

One clinical process a file; each says which published counts inform which of its steps (`counts`). `inputs` lets the
models read, and says what they did. `ordinal` makes one joint `pm.Model` of the steps, and everything that may change
without a new compilation enters as `pm.Data`. `sample` fits, `sampling` samples, diagnoses and refuses;
`bias_correction` corrects the fit of times against trials simulated at its draws (`simulated_summaries`); `cache` keeps
the draws.
"""
