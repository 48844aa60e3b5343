"""MIML: factorises clips into bases by non-negative matrix factorisation, and relates the bases to classes."""

from mpnet_jax.methods.miml.method import RelatedBases

__all__ = ["RelatedBases"]
