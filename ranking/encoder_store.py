"""Where learned encoders lie on the disk, and what the database keeps of each; without torch."""

import os
import shutil
import uuid
from pathlib import Path

from django.conf import settings
from django.db import connection

from catalog.models import EncoderVersion


def encoder_folder(digest: str) -> Path:
    """Where a learned encoder lies, or would lie."""
    return Path(settings.ENCODER_DIR) / digest


def store_encoder(folder: Path, digest: str) -> None:
    """Copy an encoder's files to where encoders lie; a reader sees all of them or none."""
    target = encoder_folder(digest)
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = target.parent / f".new-{uuid.uuid4().hex}"
    shutil.copytree(folder, staging)
    for path in staging.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    staging.rename(target)


def delete_encoder(version: EncoderVersion) -> None:
    """Forget a learned encoder: its vectors, their index, its row and its files."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP INDEX IF EXISTS {_index(version)}")
    folder = encoder_folder(version.digest)
    version.delete()
    shutil.rmtree(folder, ignore_errors=True)


def ensure_vector_index(version: EncoderVersion) -> None:
    """Build the HNSW index over this version's vectors if it isn't there (Malkov 2016)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"CREATE INDEX IF NOT EXISTS {_index(version)} ON catalog_itemvector "
            f"USING hnsw ((vector::halfvec({version.dimensions:d})) halfvec_cosine_ops) "
            f"WHERE encoder_id = {version.pk:d}"
        )


def _index(version: EncoderVersion) -> str:
    return f"itemvector_hnsw_{version.pk:d}"
