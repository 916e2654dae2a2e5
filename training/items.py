"""The items of a catalog as training sees them: as serving does, with the configured encoder."""

from catalog.models import Catalog
from ranking.encoder import load_encoder, register_version
from ranking.item_index import ItemIndex


def catalog_items(catalog: Catalog) -> ItemIndex:
    """Items with the vectors of the configured encoder."""
    return ItemIndex.load(catalog, register_version(load_encoder()))
