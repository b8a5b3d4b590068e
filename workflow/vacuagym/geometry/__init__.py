"""Tables computed from first principles: arrays only, no files."""
