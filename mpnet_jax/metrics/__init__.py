"""How well sounds were separated: ratios in decibel, picture overlap, and means with intervals.

NumPy and SciPy only, so that a worker process starts fast.
"""
