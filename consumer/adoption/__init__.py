"""How far schema versions have spread: counted, summed up, reported."""
