"""Programs in Python that start without importing anew: a process that has imported forks."""
