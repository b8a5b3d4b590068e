"""Rules for every process: atomic writes, memory limits, stalls and dead parents."""
