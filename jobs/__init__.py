"""The periodic work of the service, one job a file."""
