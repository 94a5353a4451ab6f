"""Run the periodic jobs: when, under which lease, and with what record of each run."""
