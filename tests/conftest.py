"""What every test may need."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import TransactionTestCase


@pytest.fixture(scope="session", autouse=True)
def truncate_what_hangs_on_it() -> None:
    """Let tests that commit empty the tables with CASCADE.

    Django truncates the tables that it manages, and PostgreSQL refuses that while the partitioned
    interactions, which a migration of ours manages, point at them. Naming the apps is how Django is
    told to cascade.
    """
    TransactionTestCase.available_apps = list(settings.INSTALLED_APPS)


@pytest.fixture
def empty_cache(db: None) -> Iterator[None]:
    """A cache without the entries of other tests."""
    cache.clear()
    yield
    cache.clear()
