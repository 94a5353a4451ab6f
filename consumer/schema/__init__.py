"""What payloads look like and how that changes: pure, without I/O."""
