"""The toy effective field theory: random streams, the ensemble of couplings, the potential. Arrays only, no files."""
