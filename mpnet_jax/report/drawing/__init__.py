"""Parts of a page: charts, spectrograms, tables and the page template."""
