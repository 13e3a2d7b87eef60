"""patients -> what has been seen of them. Pure JAX.

`patients/` knows what is true; from here on only what the trial can have seen exists.
"""
