"""Runs on the command line: follow one with progress lines, find a catalog or a run by its name."""

import json
import shutil
import signal
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from catalog.models import Catalog
from ranking.errors import RankingFault
from training.errors import RunCancelled, RunPaused, StaleLease, TrainingFault
from training.gate import Check
from training.handle import RunHandle
from training.leases import Lease, claim, finish
from training.models import ModelVersion, RunState, TrainingRun
from training.parameters import checked, fault_of
from training.runs import cancel, create_claimed
from training.sheet_fields import SEED
from training.sheets import SHEETS
from training.watcher import owner_name, watch

ONLY_HERE = (
    "Somebody wanted to pause it, but it ran within a command that no worker can go on with, so it "
    "ended. Start the command again."
)


def find_catalog(slug: str) -> Catalog:
    """The catalog with this slug, or one line that names those there are."""
    catalog = Catalog.objects.filter(slug=slug).first()
    if catalog is None:
        known = ", ".join(Catalog.objects.order_by("slug").values_list("slug", flat=True))
        raise CommandError(f"There is no catalog {slug!r}. Known: {known or 'none'}.")
    return catalog


def find_version(bundle_id: str) -> ModelVersion:
    """The registered model of this bundle, with its catalog."""
    found = ModelVersion.objects.filter(bundle_id=bundle_id).select_related("catalog").first()
    if found is None:
        raise CommandError(f"There is no model {bundle_id!r}.")
    return found


def find_run(text: str) -> TrainingRun:
    """The run with this id."""
    try:
        run = TrainingRun.objects.filter(pk=uuid.UUID(text)).select_related("catalog").first()
    except ValueError:
        run = None
    if run is None:
        raise CommandError(f"There is no run {text!r}; the dashboard lists them.")
    return run


def say_gate(checks: Iterable[Check], say: Callable[[str], None]) -> None:
    """Each check of a gate on a line; red stands out."""
    for check in checks:
        colour = check.colour.upper() if check.ok is False else check.colour
        say(f"{colour:12} {check.name}: {check.reason}")


def add_run_arguments(parser: CommandParser, names: str) -> None:
    """--param and --seed of a command that carries out a run."""
    parser.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help=f"such as steps=100; repeatable. Names: {names}",
    )
    parser.add_argument("--seed", type=int, default=1)


def carry_out(
    catalog: Catalog, kind: str, options: Mapping[str, Any], say: Callable[[str], None]
) -> TrainingRun:
    """A run with the options of `add_run_arguments`, in a process of its own, watched to its end.

    Raises
    ------
    CommandError
        A parameter or the seed cannot be that, another such run is going on, or this one did not
        succeed.
    """
    asked = dict(parse_parameter(text) for text in options["param"])
    found = checked(SHEETS[kind], catalog, asked, keep_usual=True)
    try:
        seed = SEED.read(options["seed"], catalog)
    except ValueError as fault:
        found.faults[SEED.name] = fault_of(SEED, fault)
    if found.faults:
        raise CommandError(" ".join(found.faults.values()))
    try:
        run, lease = create_claimed(catalog, kind, owner_name(), found.values, seed)
    except TrainingFault as fault:
        raise CommandError(str(fault)) from fault
    return follow(run, lease, say)


def parse_parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE; the value is read as JSON where it is JSON, else as text."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise CommandError(f"--param {text!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


class RunCommand(BaseCommand):
    """A command that carries out a run of one kind in a catalog, watched to its end."""

    kind: str
    names: str  # of the parameters that --param may name

    def add_arguments(self, parser: CommandParser) -> None:
        """The catalog, and what every run can be told."""
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        add_run_arguments(parser, self.names)

    def handle(self, *args: Any, **options: Any) -> None:
        """Carry it out; Ctrl-C cancels it."""
        carry_out(find_catalog(options["catalog"]), self.kind, options, self.stdout.write)


@contextmanager
def run_here(
    catalog: Catalog, kind: str, parameters: dict[str, Any], seed: int, say: Callable[[str], None]
) -> Iterator[RunHandle]:
    """A run that this very process carries out, and that ends with the block.

    What it reports is said at once, and stands on the dashboard.

    Raises
    ------
    CommandError
        Another such run is going on, or the run failed for a reason that people can mend.
    """
    try:
        run, lease = create_claimed(catalog, kind, owner_name(), parameters, seed)
    except TrainingFault as fault:
        raise CommandError(str(fault)) from fault
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # a kill is like Ctrl-C
    try:
        with RunHandle(run, lease, say) as handle:
            yield handle
    except BaseException as fault:
        told = isinstance(fault, TrainingFault | RankingFault)
        stopped = isinstance(fault, KeyboardInterrupt | RunCancelled | RunPaused)
        state = RunState.CANCELLED if stopped else RunState.FAILED
        end = ONLY_HERE if isinstance(fault, RunPaused) else "" if stopped else str(fault)
        with suppress(StaleLease):
            finish(lease, state, end)
        if told or stopped:
            raise CommandError(end or "cancelled") from fault
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
    finish(lease, RunState.SUCCEEDED)
    shutil.rmtree(handle.folder, ignore_errors=True)


def follow(run: TrainingRun, lease: Lease, say: Callable[[str], None]) -> TrainingRun:
    """Watch a claimed run to its end and print what it reports.

    Raises
    ------
    CommandError
        The run did not succeed. Ctrl-C cancels it first.
    """
    progress = Progress(run, say)
    say(f"run {run.pk}: {run.kind} {run.catalog.slug}")
    held: Lease | None = lease
    while held is not None:
        try:
            watch(held, progress.glance)
        except KeyboardInterrupt:
            cancel(run, "Ctrl-C")
            with suppress(StaleLease):  # the process is dead by now; if it was over, it stays so
                finish(held, RunState.CANCELLED)
            raise CommandError("cancelled") from None
        progress.glance()
        held = claim(run.pk, owner_name())  # its process died: go on from the checkpoint
    run.refresh_from_db()
    if run.state == RunState.SUCCEEDED:
        return run
    if run.state == RunState.PAUSED:
        raise CommandError(f"paused; a worker goes on with it after manage.py resume_run {run.pk}")
    if not run.is_over:
        raise CommandError("A worker has taken the run over; the dashboard shows how it goes on.")
    raise CommandError(f"{run.state}: {run.error}" if run.error else run.state)


class Progress:
    """Prints new log lines and, when it changes, the stage."""

    def __init__(self, run: TrainingRun, say: Callable[[str], None]) -> None:
        self.run = run
        self.say = say
        self.last_line = 0  # primary key
        self.last_stage = ""

    def glance(self) -> None:
        """Print what is new."""
        for line in self.run.log_lines.filter(pk__gt=self.last_line).order_by("pk"):
            self.say(f"        {line.text}")
            self.last_line = line.pk
        row = TrainingRun.objects.only("stage", "progress").get(pk=self.run.pk)
        told = f"[{row.progress:4.0%}] {row.stage}"
        if told != self.last_stage:
            self.say(told)
            self.last_stage = told
