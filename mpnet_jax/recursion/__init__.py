"""The recursion of the method: the loop itself, its candidates, and the networks it calls."""
