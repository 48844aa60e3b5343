"""Separates the sounds of a video into stems, videos with heat maps, and a page; see docs/SEPARATE.md."""
