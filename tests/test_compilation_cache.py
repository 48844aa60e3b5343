import jax
import pytest

from mpnet_jax import parallel


@pytest.fixture
def folder_set(monkeypatch):
    """The folders that JAX is configured with."""
    folders = []
    monkeypatch.setattr(jax.config, "update", lambda _, folder: folders.append(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    monkeypatch.delenv("MPNET_JAX_CACHE", raising=False)
    return folders


def test_one_process_caches_programs_in_the_users_folder(folder_set):
    parallel.keep_compiled_programs()
    assert folder_set == ["/cache/mpnet_jax/compiled"]


def test_several_processes_cache_programs_only_in_a_given_folder(folder_set, monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    parallel.keep_compiled_programs()
    assert folder_set == []
    monkeypatch.setenv("MPNET_JAX_CACHE", "/share/cache")
    parallel.keep_compiled_programs()
    assert folder_set == ["/share/cache"]
