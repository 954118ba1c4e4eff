"""Cohorts and folds on many processes or machines by Ray: nothing is lost with a worker."""
