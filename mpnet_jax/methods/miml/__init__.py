"""MIML: bases of clips by non-negative matrix factorisation, and networks that relate them to classes."""
