"""The one exception of this package."""


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
