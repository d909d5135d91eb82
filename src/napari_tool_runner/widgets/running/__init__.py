"""A run as a person sees it: bar, log, activity, notices, results."""
