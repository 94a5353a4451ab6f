"""The way to MongoDB: one client, its errors, indexes, retention, leases and circuit breaker."""
