"""The regimes of the ensemble by name, for those who read labels: :mod:`vacuagym.eft.ensemble` draws in them, and takes long to import."""

REGIMES = ("generic", "stabilized", "tachyonic", "runaway")
