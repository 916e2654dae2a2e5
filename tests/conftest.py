"""What every test may need."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import TransactionTestCase, override_settings

from ranking import serving


@pytest.fixture(scope="session", autouse=True)
def truncate_what_hangs_on_it() -> None:
    """Let tests that commit empty the tables with CASCADE.

    Django truncates the tables that it manages, and PostgreSQL refuses that while the partitioned
    interactions, which a migration of ours manages, point at them. Naming the apps is how Django is
    told to cascade.
    """
    TransactionTestCase.available_apps = list(settings.INSTALLED_APPS)


@pytest.fixture(scope="session", autouse=True)
def plain_static_files() -> Iterator[None]:
    """Let pages name static files that nobody has collected; no test needs their hashed names."""
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    with override_settings(STORAGES={**settings.STORAGES, "staticfiles": plain}):
        yield


@pytest.fixture
def empty_cache(db: None) -> Iterator[None]:
    """A cache without the entries of other tests."""
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def own_folders(tmp_path: Path) -> Iterator[None]:
    """Folders of this test only, and nothing kept in memory from another."""
    serving.forget_all()
    with override_settings(
        BUNDLE_DIR=tmp_path / "bundles",
        ENCODER_DIR=tmp_path / "encoders",
        RUN_DIR=tmp_path / "runs",
        SNAPSHOT_DIR=tmp_path / "snapshots",
    ):
        yield
    serving.forget_all()


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = "no Chromium was found"


def chromium() -> str | None:
    """The browser that the tests drive: CHROMIUM says which, otherwise the system's."""
    found = (shutil.which(name) for name in (os.environ.get("CHROMIUM", ""), *BROWSERS) if name)
    return next((path for path in found if path), None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """For playwright's `executable_path`."""
    path = chromium()
    if path is None:
        pytest.skip(NO_BROWSER)
    return path


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what needs a browser where there is none."""
    if chromium() is None:
        for item in items:
            if item.get_closest_marker("browser"):
                item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly which tests were left out for want of a browser."""
    skipped = terminalreporter.stats.get("skipped", [])
    left_out = sorted(report.nodeid for report in skipped if NO_BROWSER in str(report.longrepr))
    if not left_out:
        return
    terminalreporter.section("LEFT OUT: NO BROWSER", sep="!", red=True, bold=True)
    for name in left_out:
        terminalreporter.line(name, red=True)
    terminalreporter.line(
        f"{len(left_out)} tests did not run, because {NO_BROWSER}. Install it (Debian: apt install "
        "chromium), or name it in CHROMIUM, and run make test again.",
        red=True,
    )
