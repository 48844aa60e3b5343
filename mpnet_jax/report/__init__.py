"""One run as a web page of pictures, sounds and tables that opens from the disk."""
