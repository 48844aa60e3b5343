"""Decodes videos into staged files, checks them and assigns them to splits."""
