"""Compiler options for tests that compare programs more closely than they agree without fusion."""

from tests.conftest import HAS_FUSION_OPTION

# A program without fusion rounds after every operation, so two forms of a network differ more than on a user's machine.
WITH_FUSION = {"xla_cpu_use_fusion_emitters": True} if HAS_FUSION_OPTION else {}
