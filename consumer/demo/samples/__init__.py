"""Believable contact-centre traffic that drifts as such systems do, the same for the same seed."""
