"""What the benchmarks share: programs to time, worker processes, records of results."""
