"""A local page in the browser: separate a video, mix its sounds and listen to any place of the picture."""
