"""Ideas that two domains use: errors, deliveries and outcomes, time, text, waiting, metrics."""
