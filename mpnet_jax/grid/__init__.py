"""A comparison of methods: its cells, who works on which, and what comes of them."""
