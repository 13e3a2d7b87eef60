"""ONE trial, a pure function in JAX: patients -> observation -> analysis -> decisions. Read `run` first."""
