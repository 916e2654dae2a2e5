"""⑭ Register, promote, roll back, delete: the only writer of `Catalog.live_bundle`.

Each change is one transaction that locks the catalog, opens the bundle before it moves the pointer,
and writes down who did it and why. `NOTIFY recsite_bundle` tells the serving processes; the row is
the authority.
"""

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from catalog.models import Catalog, EncoderVersion, User
from ranking.bundle import (
    BUNDLE_ID,
    bundle_exists,
    bundle_path,
    delete_bundle,
    open_bundle,
    snapshot_of,
)
from ranking.encoder_store import delete_encoder
from training.errors import TrainingFault
from training.gate import gate, open_registered
from training.models import ModelVersion, Promotion, TrainingRun

CHANNEL = "recsite_bundle"
LEFTOVER_AGE = 86_400.0  # seconds
SNAPSHOT = re.compile(r"[0-9a-f]{64}\.parquet")
KEEP_ENCODERS = 5  # newest learned ones, besides those that a bundle needs
# Ways of quantize.py to make an encoder smaller; such a one learns nothing of its own.
QUANTISED = ("bf16", "int8", "int8 2/3 layers", "int8 1/2 layers")
KEEP_BUNDLES = 5  # newest ones whose files stay, besides the live one and the one before it


def register(run: TrainingRun | None, bundle_id: str, metrics: dict[str, Any]) -> ModelVersion:
    """Add a bundle to the registry; a second time changes nothing.

    Raises
    ------
    BundleError
        The bundle cannot be opened.
    """
    bundle = open_bundle(bundle_id)
    catalog = Catalog.objects.get(slug=bundle.meta.catalog)
    parent = ModelVersion.objects.filter(bundle_id=catalog.live_bundle).first()
    version, _ = ModelVersion.objects.get_or_create(
        bundle_id=bundle_id,
        defaults={
            "catalog": catalog,
            "digest": bundle.digest,
            "run": run,
            "parent": parent,
            "metrics": metrics,
            "encoder": EncoderVersion.objects.filter(digest=bundle.meta.encoder_digest).first(),
        },
    )
    return version


def promote(
    version: ModelVersion,
    by: User | None,
    reason: str,
    *,
    force: bool = False,
    all_green: bool = False,
) -> Promotion:
    """Make a model the live one.

    Parameters
    ----------
    force
        Overrule the gate.
    all_green
        Ask that every check was measured: for what promotes by itself, where nobody has looked.

    Raises
    ------
    TrainingFault
        The bundle cannot be opened, the gate stops it (see `pass_gate`), the reason is missing, or
        the model is live already. The pointer has not moved then.
    """
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        if catalog.live_bundle == version.bundle_id:
            raise TrainingFault(_("%(bundle)s is live already.") % {"bundle": version.bundle_id})
        if catalog.challenger_share and catalog.challenger_bundle != version.bundle_id:
            text = _(
                "%(bundle)s is being rolled out: promote that one, or stop its roll-out first."
            )
            raise TrainingFault(text % {"bundle": catalog.challenger_bundle})
        pass_gate(version, catalog, force=force, all_green=all_green)
        return _move(catalog, Promotion.Kind.PROMOTE, version.bundle_id, by, reason)


def pass_gate(
    version: ModelVersion, catalog: Catalog, *, force: bool, all_green: bool = False
) -> None:
    """Let a model pass whose files are sound and whose gate shows no red, or is overruled.

    With `all_green`, what was not measured stops it too.

    Raises
    ------
    TrainingFault
        It must not go on; the message says why.
    """
    open_registered(version.bundle_id, catalog, version.digest)
    checks = gate(version, live_version(catalog))
    red = [check for check in checks if check.ok is False]
    if red and not force:
        text = _(
            "The gate is red: %(reasons)s Promote it in spite of that only with a good reason"
            " (force)."
        )
        raise TrainingFault(text % {"reasons": " ".join(check.reason for check in red)})
    grey = [check for check in checks if check.ok is None]
    if grey and all_green:
        text = _("The gate is not all green, so a person decides. Not measured: %(reasons)s")
        told = " ".join(f"{_(check.name)}: {check.reason}" for check in grey)
        raise TrainingFault(text % {"reasons": told})


def promote_if_first(version: ModelVersion) -> Promotion | None:
    """Make the first model of a catalog the live one; None if the catalog has one."""
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        if catalog.live_bundle:
            return None
        return promote(
            version,
            None,
            "The first model of this catalog: there was none to compare it with.",
            all_green=True,
        )


def roll_back(catalog: Catalog, by: User | None, reason: str) -> Promotion:
    """Return to the model that was live before; before the first one, to none.

    Raises
    ------
    TrainingFault
        Nothing is live, the earlier bundle cannot be opened, or the reason is missing.
    """
    with transaction.atomic():
        locked = Catalog.objects.select_for_update().get(pk=catalog.pk)
        if not locked.live_bundle:
            text = _("No model of %(slug)s is live, so there is none to roll back.")
            raise TrainingFault(text % {"slug": locked.slug})
        target = previous_bundle(locked)
        if target:
            known = ModelVersion.objects.filter(bundle_id=target).first()
            open_registered(target, locked, known.digest if known else "")
        return _move(locked, Promotion.Kind.ROLL_BACK, target, by, reason)


def previous_bundle(catalog: Catalog) -> str:
    """What a roll-back returns to; '' = no model, the encoder and popularity alone.

    A promotion puts a bundle on a pile, a roll-back takes one off, so that rolling back twice goes
    two steps back and not to and fro.
    """
    pile = [""]
    moves = catalog.promotions.filter(kind__in=[Promotion.Kind.PROMOTE, Promotion.Kind.ROLL_BACK])
    history = moves.order_by("at", "pk").values_list("kind", "to_bundle")
    for kind, bundle_id in history:
        if kind == Promotion.Kind.PROMOTE:
            pile.append(bundle_id)
        elif len(pile) > 1:
            pile.pop()
    return pile[-2] if len(pile) > 1 else ""


def live_version(catalog: Catalog) -> ModelVersion | None:
    """The model that is live now."""
    return ModelVersion.objects.filter(bundle_id=catalog.live_bundle).first()


def live_encoder(catalog: Catalog) -> EncoderVersion | None:
    """The learned encoder of the live model; None where it was trained on a configured one."""
    encoder = encoder_of_live(catalog)
    return encoder if encoder is not None and encoder.is_learned else None


def encoder_of_live(catalog: Catalog) -> EncoderVersion | None:
    """The encoder that the live model is served with; None where that is the configured one."""
    model = ModelVersion.objects.filter(bundle_id=catalog.live_bundle).select_related("encoder")
    live = model.first()
    encoder = live.encoder if live is not None else None
    return encoder if encoder is not None and encoder.outlives_settings(catalog) else None


def needed_bundles(catalog: Catalog) -> dict[str, str]:
    """The bundles whose files must stay, and what each is, in English: live, the challenger …

    '' may be among them: no model.
    """
    return {
        previous_bundle(catalog): gettext_noop("what a roll-back returns to"),
        catalog.challenger_bundle: gettext_noop("the challenger"),
        catalog.live_bundle: gettext_noop("live"),
    }


def delete(version: ModelVersion) -> list[str]:
    """Delete a model: its row, its bundle, and its snapshot if nothing else needs that.

    The history of promotions keeps its name. Returns what went, in words.

    Raises
    ------
    TrainingFault
        It is live, the challenger, or what a roll-back returns to. Nothing has gone then.
    """
    with transaction.atomic():
        catalog = Catalog.objects.select_for_update().get(pk=version.catalog_id)
        role = needed_bundles(catalog).get(version.bundle_id)
        if role:
            text = _("%(bundle)s is %(role)s, so it cannot be deleted.")
            raise TrainingFault(text % {"bundle": version.bundle_id, "role": _(role)})
        gone = depends_on(version)
        snapshot = own_snapshot(version)
        version.delete()
        delete_bundle(version.bundle_id)
        if snapshot is not None:
            snapshot.unlink(missing_ok=True)
    return gone


def depends_on(version: ModelVersion) -> list[str]:
    """What goes when a model is deleted, in words."""
    text = _("the registered model %(bundle)s and its figures")
    gone = [text % {"bundle": version.bundle_id}]
    if bundle_exists(version.bundle_id):
        size = sum(file.stat().st_size for file in bundle_path(version.bundle_id).iterdir())
        gone.append(_("its bundle of %(size)s MB") % {"size": f"{size / 1e6:,.1f}"})
    if snapshot := own_snapshot(version):
        size = snapshot.stat().st_size
        text = _("the snapshot %(digest)s of %(size)s MB, which no other needs")
        gone.append(text % {"digest": snapshot.stem[:8], "size": f"{size / 1e6:,.1f}"})
    return gone


def own_snapshot(version: ModelVersion) -> Path | None:
    """The file of the snapshot that this model alone was trained on; None if others need it."""
    digest = snapshot_of(version.bundle_id)
    path = Path(settings.SNAPSHOT_DIR) / f"{digest}.parquet"
    if not digest or not path.is_file():
        return None
    others = ModelVersion.objects.exclude(pk=version.pk).values_list("bundle_id", flat=True)
    if any(snapshot_of(bundle_id) == digest for bundle_id in others):
        return None
    needed = TrainingRun.objects.may_go_on().filter(snapshot_digest=digest).exists()
    return None if needed else path


def prune(catalog: Catalog) -> list[str]:
    """Delete the files of old bundles; the newest, the live and the previous one stay.

    The registry keeps the rows: what was measured and promoted remains on record.
    """
    with transaction.atomic():
        locked = Catalog.objects.select_for_update().get(pk=catalog.pk)
        ids = list(
            locked.model_versions.order_by("-created_at").values_list("bundle_id", flat=True)
        )
        kept = {*ids[:KEEP_BUNDLES], *needed_bundles(locked)}
        gone = [name for name in ids if name not in kept and bundle_exists(name)]
        for bundle_id in gone:
            delete_bundle(bundle_id)
    prune_encoders(catalog)
    return gone


def quantised(original: EncoderVersion, catalog: Catalog) -> EncoderVersion | None:
    """What the catalog's last quantisation made of this encoder, for a CPU; None without one."""
    made = catalog.encoders.filter(parent=original, way__in=QUANTISED)
    return made.order_by("-created_at", "-pk").first()


def prune_encoders(catalog: Catalog) -> list[str]:
    """Delete the learned encoders that nothing needs. Returns their digests.

    What stays: the newest, those that a bundle or a run that may go on needs, the quantised form of
    each of these and of the configured one, and all that these were made from: their rows say what
    they have learned.
    """
    encoders = {version.pk: version for version in catalog.encoders.order_by("-created_at", "-pk")}
    models = catalog.model_versions.filter(encoder__isnull=False)
    kept = {model.encoder_id for model in models if bundle_exists(model.bundle_id)}
    kept |= set(list(encoders)[:KEEP_ENCODERS])
    named = tuple(_named_by_runs(catalog))
    kept |= {pk for pk, version in encoders.items() if version.digest.startswith(named)}
    newest: dict[int | None, int] = {}  # of the quantised forms of each encoder
    for version in encoders.values():
        if version.way in QUANTISED:
            newest.setdefault(version.parent_id, version.pk)
    kept |= {pk for of, pk in newest.items() if of in kept or of not in encoders}
    waiting = [pk for pk in kept if pk in encoders]
    while waiting:
        parent = encoders[waiting.pop()].parent_id
        if parent in encoders and parent not in kept:
            kept.add(parent)
            waiting.append(parent)
    gone = [version for pk, version in encoders.items() if pk not in kept]
    for version in gone:
        delete_encoder(version)
    return [version.digest for version in gone]


def _named_by_runs(catalog: Catalog) -> Iterator[str]:
    """How the digests begin of encoders that runs which may go on were told, or have begun with."""
    runs = TrainingRun.objects.may_go_on().filter(catalog=catalog)
    for parameters, environment in runs.values_list("parameters", "environment"):
        facts = [str(parameters.get("encoder", ""))]
        facts += [str(value) for name, value in environment.items() if name.endswith("encoder")]
        yield from filter(None, facts)


def prune_leftovers() -> list[str]:
    """Delete the day-old folders and snapshots that nothing refers to; returns their names.

    A process that is killed leaves half a bundle, or one that nobody registered; a snapshot is for
    the runs that may go on and the bundles that are still there. What belongs to no catalog of this
    database is left alone.
    """
    slugs = set(Catalog.objects.values_list("slug", flat=True))
    if not slugs:
        return []
    known = set(ModelVersion.objects.values_list("bundle_id", flat=True))
    known |= set(Catalog.objects.values_list("live_bundle", flat=True))
    gone = [path for path in _old(settings.BUNDLE_DIR) if _is_stray(path.name, slugs, known)]
    digests = set(TrainingRun.objects.may_go_on().values_list("snapshot_digest", flat=True))
    digests |= {snapshot_of(bundle_id) for bundle_id in known if bundle_exists(bundle_id)}
    snapshots = [path for path in _old(settings.SNAPSHOT_DIR) if SNAPSHOT.fullmatch(path.name)]
    gone += [path for path in snapshots if path.stem not in digests]
    for path in gone:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return [path.name for path in gone]


def _is_stray(name: str, slugs: set[str], known: set[str]) -> bool:
    """Whether a name among the bundles is half a bundle, or an unregistered one of our catalogs."""
    match = BUNDLE_ID.fullmatch(name)
    ours = match is not None and match["slug"] in slugs and name not in known
    return ours or name.startswith((".new-", ".gone-"))


def _old(folder: str | Path) -> list[Path]:
    """What lies in a folder, is no link, and was not touched for a day."""
    border = time.time() - LEFTOVER_AGE
    found = [path for path in Path(folder).glob("*") if not path.is_symlink()]
    with suppress(FileNotFoundError):  # somebody else tidies too; the next night is soon enough
        return [path for path in found if path.stat().st_mtime < border]
    return []


def _move(catalog: Catalog, kind: str, to: str, by: User | None, reason: str) -> Promotion:
    """Move the pointer of a locked catalog, and write down why."""
    if not reason.strip():
        raise TrainingFault(_("Say why: a promotion or roll-back needs a reason."))
    promotion = Promotion.objects.create(
        catalog=catalog,
        kind=kind,
        from_bundle=catalog.live_bundle,
        to_bundle=to,
        reason=reason.strip(),
        by=by,
    )
    catalog.live_bundle = to
    catalog.challenger_share, catalog.challenger_fault = 0, ""  # a change of the live one ends it
    if catalog.challenger_bundle == to:
        catalog.challenger_bundle = ""
    catalog.save(
        update_fields=["live_bundle", "challenger_bundle", "challenger_share", "challenger_fault"]
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, %s)", [CHANNEL, catalog.slug])  # sent on commit
    return promotion
