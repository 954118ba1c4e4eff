"""A run behind HTTP: images in, scores, measurements and masks out, bounded in size, time and number."""
