"""The sections of a run's report, one in each file."""
