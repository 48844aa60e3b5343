"""Time and memory, measured by commands: `python -m benchmarks.X --json=FILE`."""
