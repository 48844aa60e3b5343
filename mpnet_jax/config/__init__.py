"""The config of a run: its checks, the plain values made from it, its rounds, and its saved copy in a workdir."""
