"""The registered schema versions, shared by all processes through MongoDB."""
