"""Find out why a signature was refused by trying the variants that people meet in the field."""
