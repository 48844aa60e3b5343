"""One video taken apart: windows of sound and picture, a number for each sound, stems, films and a page."""
