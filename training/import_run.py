"""Runs of kind import: a file into a catalog, a large dry run, or the undo of a large import.

The import itself is catalog/importers; here it reports to its run. It is one transaction, so a
cancel or a kill leaves nothing half written, and a run that resumes starts anew, or finds that it
had written everything before it died.
"""

from pathlib import Path

from catalog.actor import acting_as
from catalog.errors import CatalogError
from catalog.importers import undo, uploads
from catalog.importers.files import Origin, Outcome, Say, import_by_kind
from catalog.importers.reading import rows_about
from catalog.models import Catalog, Import, User
from training.handle import RunHandle
from training.models import TrainingRun
from training.runs import create_run

READING = 0.7  # share of the time


def queue_import(
    catalog: Catalog,
    source: str,
    kind: str,
    names: dict[str, str],
    user: User,
    *,
    dry_run: bool = False,
) -> TrainingRun:
    """Have a worker import a file that `uploads` knows."""
    parameters = {"source": source, "kind": kind, "names": names, "dry_run": dry_run}
    return create_run(catalog, TrainingRun.Kind.IMPORT, parameters, user)


def queue_undo(made: Import, user: User) -> TrainingRun:
    """Have a worker undo an import."""
    return create_run(made.catalog, TrainingRun.Kind.IMPORT, {"undo": made.pk}, user)


def import_or_undo(handle: RunHandle) -> None:
    """Carry out what the run's parameters say."""
    who = handle.run.created_by.username if handle.run.created_by else ""
    with acting_as(who):
        if "undo" in handle.parameters:
            _undo(handle, who)
        elif Import.objects.filter(run_id=handle.run.pk).exists():
            handle.log("Everything was written before the process died.")
        else:
            _import(handle, who)


def _undo(handle: RunHandle, who: str) -> None:
    handle.stage("taking the import back", 0.1)
    made = undo.undo(int(handle.parameters["undo"]), who)
    for kind, rows in made.undone.items():
        handle.log(
            f"{kind}: {rows['removed']:,} removed, {rows['restored']:,} restored,"
            f" {rows['kept']:,} kept"
        )


def _import(handle: RunHandle, who: str) -> None:
    chosen = handle.parameters
    is_dry = bool(chosen.get("dry_run"))
    path = uploads.find(str(chosen.get("source", "")))
    kind = str(chosen.get("kind", ""))
    try:
        outcome = import_by_kind(
            handle.catalog,
            {kind: path},
            names={kind: chosen.get("names", {})},
            origin=Origin(who, None if is_dry else handle.run.pk, is_dry),
            say=_progress(handle, path),
        )
    except CatalogError as error:
        raise CatalogError(uploads.told(error, path), retry=error.retry) from None
    _report(handle, outcome)


def _progress(handle: RunHandle, path: Path) -> Say:
    """Tells the run how far the import is, and stops it where the run has to stop."""
    total = max(rows_about(path), 1)

    def say(stage: str, rows: int) -> None:
        reads = stage.startswith("read")
        done = READING * min(rows / total, 1.0) if reads else READING
        handle.stage(f"{stage}: {rows:,} rows", 0.99 if stage == "written" else done)
        handle.check()

    return say


def _report(handle: RunHandle, outcome: Outcome) -> None:
    for summary in outcome.summaries:
        handle.log(str(summary))
    for _, row in outcome.first_bad:
        handle.log(f"line {row.line}: {row.field} {row.reason}")
    if outcome.report:
        handle.record(report=outcome.report.name)
    if outcome.number is None:
        handle.log("Nothing was written: this was a dry run.")
    else:
        handle.log(f"manage.py undo_import {outcome.number} takes it back.")
