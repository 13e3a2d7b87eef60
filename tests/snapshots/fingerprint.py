"""Which machine made a snapshot, as far as numbers depend on it."""

import os
import platform
from importlib.metadata import version

CAP = "--xla_cpu_max_isa=AVX2"  # the same program compiled for other instructions moves a follow-up by half a day


def capped(flags: str) -> str:
    """XLA's flags with the instruction set capped, unless they cap it already. To be set before JAX loads."""
    return flags if "xla_cpu_max_isa" in flags else f"{flags} {CAP}".strip()


def fingerprint() -> dict[str, str]:
    """Versions, architecture and cap of this process."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    cap = next((flag.split("=")[1] for flag in flags if flag.startswith("--xla_cpu_max_isa=")), "none")
    return {
        **{name: version(name) for name in ("jax", "jaxlib", "numpy")},
        "architecture": platform.machine(),
        "max_isa": cap,
    }
