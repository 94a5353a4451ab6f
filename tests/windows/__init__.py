"""Run pywin32's own Python code, and ours on it, where there is no Windows."""
