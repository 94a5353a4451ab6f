"""HTTP: requests in, statuses and small JSON out."""
