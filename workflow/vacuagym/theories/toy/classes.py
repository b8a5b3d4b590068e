"""Names of the toy theory: labels, regimes of the ensemble, solvers.

This module imports nothing, so that readers of labels need no NumPy.
"""

LABELS = ("stable", "metastable", "saddle", "unstable", "marginal", "runaway", "failed")
STABLE, METASTABLE, SADDLE, UNSTABLE, MARGINAL, RUNAWAY, FAILED = range(len(LABELS))
REGIMES = ("generic", "stabilized", "tachyonic", "runaway")
METHODS = ("root", "descent")
