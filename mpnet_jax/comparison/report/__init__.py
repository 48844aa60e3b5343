"""Results of a comparison as JSON, Markdown and a web page."""
