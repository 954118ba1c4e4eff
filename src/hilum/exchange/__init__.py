"""Formats to and from the world: submissions of challenges."""
