"""The methods of sound separation: the only package that knows which methods exist."""
