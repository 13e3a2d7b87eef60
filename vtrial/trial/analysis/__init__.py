"""What was seen -> estimates. Pure JAX."""
