"""Payloads as schemas: their shape, how it changes, what is filled; pure, but for `registry`."""
