"""A shop, an admin, and a broker that is there."""

from pathlib import Path
from typing import Any

import pytest
from celery import current_app
from django.test import Client

from catalog.models import Catalog, Role, User
from recsite import health
from recsite.dashboard import activity, answers, doctor
from recsite.fresh import Fresh
from tests.recsite.dashboard.pages import READY


@pytest.fixture(autouse=True)
def outside(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """Broker and workers are replaced where the site looks; bundles lie in a place apart."""
    settings.BUNDLE_DIR = tmp_path / "bundles"
    monkeypatch.setattr(health.backstage, "parts", lambda: READY)
    monkeypatch.setattr(activity, "traffic", Fresh(activity.look, 0.0))
    monkeypatch.setattr(answers, "speed", Fresh(answers.look_at_speed, 0.0))
    monkeypatch.setattr(answers, "coverage", Fresh(answers.look_at_coverage, 0.0))
    doctor.forget()
    monkeypatch.setattr(Fresh, "begin", lambda look, work: None)  # a test says when it looks
    monkeypatch.setattr(current_app, "send_task", lambda *args, **options: None)


@pytest.fixture
def shop() -> Catalog:
    return Catalog.objects.create(slug="shop", name="Larder", item_kind="product")


@pytest.fixture
def admin() -> User:
    return User.objects.create_user("admin", is_staff=True, role=Role.ADMIN)


@pytest.fixture
def staff(client: Client, admin: User) -> Client:
    client.force_login(admin)
    return client
