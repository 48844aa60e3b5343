"""The networks' frequency axis, and the inverse short-time Fourier transform."""
