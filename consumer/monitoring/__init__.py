"""How the service is doing: its processes, runs, outcomes and what people did by hand."""
