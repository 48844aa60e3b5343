"""Parts of a page: charts, spectrograms, tables and the frame around them."""
