"""The studio: look at a study, paint, train and correct in the browser, on this machine alone."""
