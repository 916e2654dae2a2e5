"""The one exception of this package."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError
from django.utils.translation import gettext as _


class CatalogError(Exception):
    """Something that the caller can mend; the message says what is wrong and what to do.

    Parameters
    ----------
    message
        One sentence for a person.
    retry
        Whether the same call may succeed later without any change.
    """

    def __init__(self, message: str, *, retry: bool = False) -> None:
        super().__init__(message)
        self.retry = retry


@contextmanager
def database_faults() -> Iterator[None]:
    """Tell in one line when the database cannot go on: a full disk, a server that went away."""
    try:
        yield
    except OperationalError as error:
        reason = (str(error).splitlines() or [_("it did not say why")])[0]
        raise CatalogError(
            _(
                "The database gave up: %(reason)s. Nothing of what was under way is kept; mend it"
                " and start again."
            )
            % {"reason": reason},
            retry=True,
        ) from error
