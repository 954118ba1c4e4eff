"""A Run and images become predictions: tiles, mirrored copies, all folds together."""
