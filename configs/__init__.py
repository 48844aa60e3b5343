"""Configs, one file for each run; `get_config()` returns an ml_collections.ConfigDict."""
