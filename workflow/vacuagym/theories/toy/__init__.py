"""The toy theory: random potentials, vacuum search and labels. It works on arrays only."""
