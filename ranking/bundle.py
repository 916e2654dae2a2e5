"""The deployable unit: a folder of weights and vectors, and a meta.json that vouches for them.

    settings.BUNDLE_DIR/<bundle_id>/
        meta.json           format, catalog, encoder, sizes, parameters, metrics, files' digests
        *.safetensors       networks and item vectors
        *.ubj or *.json     the ranker, in XGBoost's own format

The folder is flat. It is written under another name, flushed to the disk and renamed, so a reader
sees the whole bundle or none. Its id ends with the digest of all that, meta.json included; whoever
opens it computes the digest again and refuses what differs. No pickle is ever written, read or
tolerated.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import uuid
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from safetensors import SafetensorError, safe_open

from ranking.errors import RankingFault

FORMAT = 1  # raised when a reader of the last format could not read the next one
META = "meta.json"
WEIGHTS = ".safetensors"
TREES = (".ubj", ".json")  # XGBoost's own formats
BUNDLE_ID = re.compile(r"(?P<slug>[-\w]{1,50})-\d{8}T\d{6}Z-(?P<digest>[0-9a-f]{8})", re.ASCII)
FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*\.[a-z]+", re.ASCII)
PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05", b"PK\x03\x04")  # pickle, torch's zip


class BundleError(RankingFault):
    """A bundle that cannot be written or must not be served; the message is one sentence."""


@dataclass(frozen=True)
class BundleMeta:
    """What stands in meta.json. `digests` and `format` are filled in by `write_bundle`."""

    catalog: str  # slug
    encoder_digest: str  # EncoderVersion.digest of the vectors that the weights were trained on
    dimensions: dict[str, int]  # sizes that a loader needs: item vector, tower width, features …
    snapshot_digest: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)  # as training/evaluation.py reports them
    created_at: str = ""  # ISO 8601, UTC
    digests: dict[str, str] = field(default_factory=dict)  # file name → sha256, hex
    format: int = FORMAT


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte has been checked."""

    id: str
    path: Path
    meta: BundleMeta
    digest: str  # 64 hex digits over meta.json and, through it, every file

    def file(self, name: str) -> Path:
        """The path of one of its files; a name that the bundle does not vouch for is refused."""
        if name not in self.meta.digests:
            raise BundleError(f"Bundle {self.id} holds no file {name}; train a new one.")
        return self.path / name


def write_bundle(folder: Path, meta: BundleMeta) -> str:
    """Publish the files of a folder as a bundle, whole or not at all.

    Parameters
    ----------
    folder
        Holds the files and nothing else; it is left as it is.
    meta
        What the files are; digests, time and format are filled in here.

    Returns
    -------
    str
        The bundle's id: catalog, time, first eight digits of the digest.

    Raises
    ------
    BundleError
        A file that does not belong into a bundle. Nothing has been written then.
    """
    names = sorted(path.name for path in folder.iterdir() if path.name != META)
    if not names:
        raise BundleError(f"There is nothing in {folder} to make a bundle of.")
    for name in names:
        _refuse_unfit(folder / name)
    now = datetime.now(UTC)
    digests = {name: _sha256(folder / name) for name in names}
    filled = asdict(meta) | {
        "format": FORMAT,
        "digests": digests,
        "created_at": meta.created_at or now.isoformat(timespec="seconds"),
    }
    try:
        text = json.dumps(filled, indent=1, sort_keys=True, allow_nan=False).encode()
    except (TypeError, ValueError) as fault:
        raise BundleError(f"A metric or a parameter does not fit into {META}: {fault}.") from None
    digest = hashlib.sha256(text).hexdigest()
    bundle_id = f"{meta.catalog}-{now:%Y%m%dT%H%M%SZ}-{digest[:8]}"
    _publish(folder, names, text, bundle_id)
    return bundle_id


def open_bundle(bundle_id: str, catalog: str = "") -> Bundle:
    """Check every byte of a bundle, and say where it lies.

    Parameters
    ----------
    bundle_id
        As `write_bundle` returned it.
    catalog
        The slug that the bundle must belong to; '' = whichever its own id names.

    Raises
    ------
    BundleError
        Missing or changed files, an unknown format, another catalog, anything but safetensors and
        XGBoost files, names that lead out of the folder. The message is one sentence.
    """
    match = BUNDLE_ID.fullmatch(bundle_id)
    if match is None:
        raise BundleError(f"{bundle_id!r} is no bundle id.")
    path = bundle_path(bundle_id)
    text = _read_meta(path, bundle_id)
    digest = hashlib.sha256(text).hexdigest()
    if digest[:8] != match["digest"]:
        raise BundleError(f"{META} of bundle {bundle_id} was changed; train a new one.")
    meta = _parse_meta(text, bundle_id)
    if meta.catalog != match["slug"] or catalog not in ("", meta.catalog):
        wanted = catalog or match["slug"]
        raise BundleError(f"Bundle {bundle_id} was trained for {meta.catalog}, not for {wanted}.")
    _check_files(path, meta, bundle_id)
    return Bundle(bundle_id, path, meta, digest)


def bundle_path(bundle_id: str) -> Path:
    """Where a bundle lies, or would lie. The id must have been checked."""
    return Path(settings.BUNDLE_DIR) / bundle_id


def bundle_exists(bundle_id: str) -> bool:
    """Whether its folder is still there; says nothing about its content."""
    return bool(BUNDLE_ID.fullmatch(bundle_id)) and bundle_path(bundle_id).is_dir()


def snapshot_of(bundle_id: str) -> str:
    """The digest of the snapshot it was trained on; '' if its meta.json cannot be read."""
    try:
        return meta_of(bundle_id).snapshot_digest
    except BundleError:
        return ""


def meta_of(bundle_id: str) -> BundleMeta:
    """What its meta.json says, the other files unchecked; for all but serving that is enough.

    Raises
    ------
    BundleError
        The folder or its meta.json is gone, or cannot be read.
    """
    return _parse_meta(_read_meta(bundle_path(bundle_id), bundle_id), bundle_id)


def delete_bundle(bundle_id: str) -> None:
    """Remove a bundle's files; does nothing if they are gone."""
    if bundle_exists(bundle_id):
        hidden = Path(settings.BUNDLE_DIR) / f".gone-{uuid.uuid4().hex}"
        bundle_path(bundle_id).rename(hidden)  # readers see all of it or nothing
        shutil.rmtree(hidden)


def _publish(folder: Path, names: list[str], meta: bytes, bundle_id: str) -> None:
    """Copy, flush, rename; a failure half-way leaves nothing behind."""
    root = Path(settings.BUNDLE_DIR)
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    staging = root / f".new-{uuid.uuid4().hex}"
    staging.mkdir(mode=0o700)
    try:
        for name in names:
            shutil.copyfile(folder / name, staging / name)
            _flush(staging / name)
        (staging / META).write_bytes(meta)
        _flush(staging / META)
        _flush(staging)
        staging.rename(root / bundle_id)
        _flush(root)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(staging)
        raise


def _flush(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _refuse_unfit(path: Path) -> None:
    """Let nothing pass but plain files in the two formats that hold no code."""
    if not FILE_NAME.fullmatch(path.name) or path.is_symlink() or not path.is_file():
        raise BundleError(f"{path.name!r} is not a plain file and has no place in a bundle.")
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix == WEIGHTS:
        try:
            with safe_open(path, framework="numpy"):  # reads and checks the header
                pass
        except SafetensorError:
            raise BundleError(f"{path.name} is no safetensors file.") from None
    elif path.suffix not in TREES or not start.startswith(b"{"):
        raise BundleError(
            f"{path.name} is neither safetensors nor an XGBoost model"
            f"{': it looks pickled' if start.startswith(PICKLED) else ''}."
        )


def _read_meta(path: Path, bundle_id: str) -> bytes:
    if path.is_symlink() or not path.is_dir():
        raise BundleError(f"Bundle {bundle_id} is not on this machine's disk.")
    try:
        return (path / META).read_bytes()
    except FileNotFoundError:
        raise BundleError(f"Bundle {bundle_id} has lost its {META}; train a new one.") from None


def _parse_meta(text: bytes, bundle_id: str) -> BundleMeta:
    try:
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise BundleError(
                f"Bundle {bundle_id} has format {values['format']}; this version reads {FORMAT}: "
                "train a new one."
            )
        meta = BundleMeta(**{entry.name: values[entry.name] for entry in fields(BundleMeta)})
    except (ValueError, KeyError, TypeError):
        raise BundleError(f"{META} of bundle {bundle_id} cannot be read.") from None
    if not all(
        isinstance(part, dict)
        for part in (meta.digests, meta.dimensions, meta.parameters, meta.metrics)
    ):
        raise BundleError(f"{META} of bundle {bundle_id} cannot be read.")
    return meta


def _check_files(path: Path, meta: BundleMeta, bundle_id: str) -> None:
    """Every file that is vouched for is there and unchanged, and there is no other."""
    for name, digest in meta.digests.items():
        if not FILE_NAME.fullmatch(name) or name == META:
            raise BundleError(f"Bundle {bundle_id} names a file outside itself: {name!r}.")
        if not (path / name).exists():
            raise BundleError(f"Bundle {bundle_id} has lost {name}; train a new one.")
        _refuse_unfit(path / name)
        if _sha256(path / name) != digest:
            raise BundleError(f"{name} of bundle {bundle_id} was changed; train a new one.")
    strangers = {entry.name for entry in path.iterdir()} - set(meta.digests) - {META}
    if strangers:
        raise BundleError(f"Bundle {bundle_id} holds a file too many: {min(strangers)!r}.")
