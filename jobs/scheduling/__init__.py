"""Run the periodic jobs: schedule them, lease the exclusive ones, record and execute each run.

Public:
- job: a row of the table of jobs, and a job's view of its run
- runner: runs one job once
- scheduler: starts runs in time
"""
