"""A comparison of methods: its cells, which process works on which cell, and the results."""
