"""Overlays, plots and the one self-contained HTML report; import from the leaf modules."""
