"""Results of a comparison as JSON, Markdown, figures and a web page."""
