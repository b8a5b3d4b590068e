"""Which fold a row belongs to."""
