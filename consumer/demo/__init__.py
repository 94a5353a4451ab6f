"""Show the service at work: believable deliveries, a client that posts them, what came of it."""
