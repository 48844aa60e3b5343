"""Networks as small Linen modules: pictures to visual vectors, spectrograms to feature maps."""
