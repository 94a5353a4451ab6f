"""A real mongod as a supervised child, for trying out and for single machines."""
