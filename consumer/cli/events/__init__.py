"""`events`: find stored events, show one, take them elsewhere, or erase a person."""
