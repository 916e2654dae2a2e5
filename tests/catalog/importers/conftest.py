"""A folder for files and reports."""

from pathlib import Path

import pytest
from pytest_django import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.IMPORT_REPORT_DIR = tmp_path / "reports"
    return tmp_path
