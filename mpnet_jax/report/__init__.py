"""A run or a comparison of runs as a web page with pictures, sounds and tables that works offline."""
