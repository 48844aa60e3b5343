from pathlib import Path

import pytest

from tests.support.launch_scripts import NotingPrograms


@pytest.fixture
def programs(tmp_path: Path) -> NotingPrograms:
    folder = tmp_path / "programs"
    folder.mkdir()
    return NotingPrograms(folder, "gcloud", "kubectl", "srun", "scontrol", "nvidia-smi", "python")
