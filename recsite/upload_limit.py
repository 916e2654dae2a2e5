"""Uploads end where they exceed the limit, before they fill the disk."""

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile

MEGABYTE = 1024 * 1024
MARK = "upload_exceeds_limit"  # of the request


class LimitedUpload(FileUploadHandler):
    """Stands before the handler that stores: drops a file once it is larger than UPLOAD_MAX_MB.

    The rest of the form is read, so that the page can say what happened; see `exceeds_limit`.
    """

    def new_file(self, *args: object, **kwargs: object) -> None:
        """Count anew."""
        super().new_file(*args, **kwargs)  # type: ignore[arg-type]
        self._bytes = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """Hand on what still fits."""
        self._bytes += len(raw_data)
        if self._bytes > settings.UPLOAD_MAX_MB * MEGABYTE:
            if self.request is not None:
                setattr(self.request, MARK, True)
            raise SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler makes the file."""


def exceeds_limit(request: object) -> bool:
    """Whether a file of this request was dropped; read its form first."""
    return bool(getattr(request, MARK, False))
