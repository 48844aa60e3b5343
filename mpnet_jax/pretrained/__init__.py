"""Holds the small model that `separate` takes where no run is named: `small.safetensors` and `small.json`."""
