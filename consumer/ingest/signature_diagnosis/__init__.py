"""Find out why a signature was refused by trying the variants that people meet in the field.

Public:
- bodies: the bytes that a sender may have signed
- findings: the difference that was found, and its remedy
"""
