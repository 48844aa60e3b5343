"""A cache of compiled programs that is damaged or disappears must not change or stop a command; see docs/CASES.md."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.repository import ROOT

SCRIPT = """
import shutil
from pathlib import Path
import jax
import jax.numpy as jnp
from mpnet_jax.processes import environment
environment.prepare()
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
folder = Path({folder!r})
values = []
def run():
    jax.clear_caches()
    values.append(float(jax.jit(lambda x: jnp.sum(jnp.tanh(x) @ x))(jnp.eye(8))))
run()
kept = sorted(folder.glob("*-cache"))
assert kept
for share, junk in ((0.0, b""), (0.5, b""), (0.0, b"\\0" * 4096)):
    for path in kept:
        content = path.read_bytes()
        path.write_bytes(content[: round(share * len(content))] + junk)
    run()
for path in folder.glob("*-atime"):
    path.unlink()
run()
shutil.rmtree(folder)
folder.write_text("a file")
run()
assert len(values) == 6 and len(set(values)) == 1, values
"""


def test_damaged_programs_are_compiled_again(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(folder=str(folder))],
        cwd=ROOT,
        env=os.environ | {"MPNET_JAX_CACHE": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
