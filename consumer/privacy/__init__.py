"""Mask, find and erase what belongs to a person."""
