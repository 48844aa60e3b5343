"""MIML: bases of clips by non-negative matrix factorisation, and networks that relate them to classes."""

from mpnet_jax.methods.miml.method import RelatedBases

__all__ = ["RelatedBases"]
