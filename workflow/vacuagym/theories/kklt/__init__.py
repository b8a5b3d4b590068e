"""The KKLT theory: does the geometry have a KKLT point? Arrays only.

`labels` decides the label from divisor data in exact integers, with the solver of `candidates`.
"""
