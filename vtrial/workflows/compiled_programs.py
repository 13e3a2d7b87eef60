"""Where compiled programs are kept between runs."""

import jax

from vtrial._support import paths
from vtrial._support.errors import InputError
from vtrial._support.folders import check_writable


def keep_compiled_programs() -> None:
    """Let JAX keep compiled programs beside the posteriors, if it can, unless the user keeps them elsewhere."""
    if jax.config.jax_compilation_cache_dir is None:
        try:
            check_writable(paths.cache_folder() / "jax")
        except InputError:
            return
        jax.config.update("jax_compilation_cache_dir", str(paths.cache_folder() / "jax"))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
