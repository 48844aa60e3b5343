"""Training with several processes: how they connect, stop together and detect a lost process."""
