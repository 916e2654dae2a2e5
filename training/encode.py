"""Runs of kind encode: give every item that is new or changed its vector."""

import time

from django.utils import timezone
from pgvector import HalfVector

from catalog.models import EncoderVersion, Item, ItemVector
from ranking.encoder import load_encoder
from ranking.encoder_store import ensure_vector_index
from training.handle import RunHandle
from training.turns import turn_to_encode

BATCH = 512  # items read, encoded and written at once
ANNOUNCE_EVERY = 5.0  # seconds between two signals to the site that there is something new


def encode(handle: RunHandle, version: EncoderVersion) -> None:
    """Encode in batches, newest items first; each batch is on the site seconds later."""
    with turn_to_encode(handle):
        _encode(handle, version)


def _encode(handle: RunHandle, version: EncoderVersion) -> None:
    handle.stage("loading the encoder", 0.0)
    encoder = load_encoder(version)
    handle.record(device=str(encoder.device), dtype=str(encoder.dtype))
    waiting = Item.objects.filter(catalog=handle.catalog).without_vector(version)
    ids = list(waiting.order_by("-id").values_list("pk", flat=True))
    announced = time.monotonic()
    for start in range(0, len(ids), BATCH):
        handle.check()
        handle.stage(f"encoding {start:,} of {len(ids):,} items", 0.9 * start / len(ids))
        items = list(Item.objects.filter(pk__in=ids[start : start + BATCH]))
        texts = sorted({item.text for item in items})
        vectors = dict(zip(texts, encoder.encode_items(texts), strict=True))
        ItemVector.objects.bulk_create(
            [
                ItemVector(
                    item=item,
                    encoder=version,
                    text_digest=item.text_digest,
                    vector=HalfVector(vectors[item.text]),
                    encoded_at=timezone.now(),
                )
                for item in items
            ],
            update_conflicts=True,
            unique_fields=["item", "encoder"],
            update_fields=["text_digest", "vector", "encoded_at"],
        )
        if time.monotonic() - announced > ANNOUNCE_EVERY:
            handle.catalog.touch_items()
            announced = time.monotonic()
    handle.stage("indexing", 0.95)
    ensure_vector_index(version)
    if ids:
        handle.catalog.touch_items()
    handle.log(f"{len(ids):,} items encoded by {version}.")
