"""Where a tool runs: the runner factory, the contract, the services."""
