"""Give programs downstream the data in the shape of one version, in views that keep it.

Public:
"""
