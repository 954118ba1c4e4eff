"""A Study becomes a Plan: every setting, each with its reason."""
