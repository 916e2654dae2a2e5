"""What has to be there before the first page: tables, static files, an admin."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from rich.console import Console

from catalog.models import User
from recsite.address import Address

ADMIN = "admin"


def prepare(console: Console) -> None:
    """Bring tables, static files and the admin up to date; a second time it takes a moment."""
    console.print("  tables …")
    call_command("migrate", verbosity=0, interactive=False)
    call_command("createcachetable", verbosity=0)
    stamp = _static_stamp()
    kept = Path(settings.STATIC_ROOT) / ".stamp"
    if not kept.exists() or kept.read_text() != stamp:
        console.print("  static files …")
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        kept.write_text(stamp)
    make_admin()


def say_who(console: Console, address: Address) -> None:
    """Print where the dashboard is, and who may open it."""
    admin = User.objects.get(username=ADMIN)
    path = _password_file()
    password = path.read_text() if path.exists() else ""
    known = password if password and admin.check_password(password) else "changed since"
    for text in (
        f"  shop       {address.url}/shop/",
        f"  news       {address.url}/news/",
        f"  dashboard  {address.url}/dashboard/   name: {ADMIN}   password: {known}",
    ):
        console.print(text)


def make_admin() -> None:
    """Make the admin once, with a generated password that only this user can read again."""
    if User.objects.filter(username=ADMIN).exists():
        return
    password = secrets.token_urlsafe(12)
    handle = os.open(_password_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(password)
    User.objects.create_superuser(ADMIN, password=password)


def _password_file() -> Path:
    return Path(settings.VAR_DIR) / "admin_password"


def _static_stamp() -> str:
    """A digest over the names, sizes and times of all static files."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: str(found[0])):
            digest.update(f"{path} {storage.size(path)} {storage.get_modified_time(path)}".encode())
    return digest.hexdigest()
