"""Run the program on a Windows Python, under Wine."""
