"""What a run is: job, workspace, record, history."""
