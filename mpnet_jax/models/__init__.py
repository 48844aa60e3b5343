"""The networks, as Linen modules: frames to visual vectors, spectrograms to feature maps."""
