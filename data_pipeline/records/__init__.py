"""Records on disk: the data set as the loader reads it at random."""
