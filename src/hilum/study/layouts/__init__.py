"""Folder layouts, one a module, tried in the order of `registry.LAYOUTS`."""
