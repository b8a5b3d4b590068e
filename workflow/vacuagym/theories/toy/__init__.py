"""The toy theory: random potentials, the search for their vacua, the labels. Arrays only."""
