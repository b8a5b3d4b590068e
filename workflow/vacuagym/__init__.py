"""Stability labels for the geometries of string compactifications.

Importing the package caps the BLAS and OpenMP threads of this process at one, unless the caller
has set them: a label job is one worker, and the number of workers is Snakemake's to choose. The
caps work only if they are set before NumPy is imported, which is why they stand here and not in
the modules that compute.
"""

import os

for _variable in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
):
    os.environ.setdefault(_variable, "1")
# Arrow's default pools keep freed pages for themselves, which makes the peak of a job grow with
# its age.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

__version__ = "0.1.0"


# What users call, by module.
_LATE = {
    "explain": "vacuagym.inspection.explain",
    "load": "vacuagym.inspection.results",
    "potentials": "vacuagym.inspection.potentials",
    "rebuild": "vacuagym.inspection.rebuild",
    "scan": "vacuagym.inspection.results",
    "threefold": "vacuagym.inspection.threefold",
}


def __getattr__(name: str) -> object:
    """Import what users call when it is first used: the package itself must be importable before
    NumPy.
    """
    if name in _LATE:
        from importlib import import_module

        found: object = getattr(import_module(_LATE[name]), name)
        return found
    raise AttributeError(f"module 'vacuagym' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LATE])
