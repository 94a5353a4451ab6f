"""Examine everything the service depends on and say for each fault what to do about it."""
