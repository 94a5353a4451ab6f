"""Events as they are stored: their layout and key, appended once, filled, found again."""
