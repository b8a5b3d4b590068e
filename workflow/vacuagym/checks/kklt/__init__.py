"""A second derivation of the KKLT results; it shares no code with `vacuagym.theories.kklt`."""
