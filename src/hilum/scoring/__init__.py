"""Scores: overlap, surfaces, classification, detection, each with its bootstrap interval."""
