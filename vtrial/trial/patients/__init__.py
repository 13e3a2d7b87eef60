"""world + dose + key -> patients: what is true of them, whether or not anybody will see it. Pure JAX."""
