"""Define the stages of the pipeline, one in each module.

No other modules read and write its tables.
"""
