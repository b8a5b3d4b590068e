"""What the toy theory names: labels, regimes of the ensemble, solvers. Imports nothing, for those
who only read labels.
"""

LABELS = ("stable", "metastable", "saddle", "unstable", "marginal", "runaway", "failed")
STABLE, METASTABLE, SADDLE, UNSTABLE, MARGINAL, RUNAWAY, FAILED = range(len(LABELS))
REGIMES = ("generic", "stabilized", "tachyonic", "runaway")
METHODS = ("root", "descent")
