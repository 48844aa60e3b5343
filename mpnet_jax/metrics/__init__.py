"""Metrics of separated sounds and of located players, and means with confidence intervals.

The modules need NumPy and SciPy but neither JAX nor TensorFlow, so worker processes start fast.
"""
