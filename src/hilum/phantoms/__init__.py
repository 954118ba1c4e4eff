"""Synthetic studies of each kind, so that everything works with no data at all."""
