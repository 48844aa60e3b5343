import os
import platform
import subprocess
import sys
import textwrap

import pytest

from tests.support.repository import ROOT

BYTES = 160_000_000


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="sets glibc's malloc alone")
@pytest.mark.parametrize(("tunables", "kept"), [("", True), ("glibc.malloc.mmap_threshold=1048576", False)])
def test_freed_memory_is_kept_unless_the_user_set_malloc(tunables, kept):
    program = f"""
        import os
        from pathlib import Path

        from mpnet_jax.processes.malloc import keep_freed_memory

        def resident_bytes():
            return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        keep_freed_memory()
        before = resident_bytes()
        block = bytearray({BYTES})
        assert resident_bytes() - before > 0.9 * {BYTES}
        del block
        print(resident_bytes() - before)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        check=True,
        capture_output=True,
        cwd=ROOT,
        encoding="utf-8",
        env=os.environ | {"GLIBC_TUNABLES": tunables},
    )
    assert (int(done.stdout) > 0.9 * BYTES) == kept
