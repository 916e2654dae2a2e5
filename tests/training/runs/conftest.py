"""A shop, a place for runs, and real processes."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection

from catalog.models import Catalog
from tests.training.runs.lives import FAKE
from training import watcher


@pytest.fixture
def shop(db: None) -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def committed_shop(transactional_db: None) -> Catalog:
    """For tests in which another thread or process reads what this one wrote."""
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture(autouse=True)
def places(settings: Any, tmp_path: Path) -> None:
    settings.RUN_DIR = tmp_path / "runs"
    settings.RUN_LEASE_SECONDS = 5
    settings.RUN_CANCEL_GRACE_SECONDS = 2


@pytest.fixture
def processes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Real processes, which work on the test's own database."""
    settings.RUN_COMMAND = [sys.executable, str(FAKE)]
    url = urlsplit(settings.DATABASE_URL)
    name = connection.settings_dict["NAME"]
    monkeypatch.setenv("DATABASE_URL", url._replace(path=f"/{name}").geturl())
    monkeypatch.setenv("TEST_RUN_DIR", str(settings.RUN_DIR))
    monkeypatch.setenv("RUN_LEASE_SECONDS", "5")
    monkeypatch.setenv("RUN_CANCEL_GRACE_SECONDS", "2")
    yield
    watcher.STOPPING.clear()
