"""manage.py schedule: what the dashboard's page Schedules does."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from training import schedules
from training.console import find_catalog
from training.errors import TrainingFault
from training.models import SCHEDULED_KINDS, Schedule

VERBS = {"pause": schedules.pause, "resume": schedules.resume, "delete": schedules.delete}


class Command(BaseCommand):
    help = "List, add, pause, resume and delete schedules; let them promote, or not."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        verbs.add_parser("list", help="print all of them")
        add = verbs.add_parser(
            "add", help="start runs at an hour, after new interactions, or on drift"
        )
        add.add_argument("catalog", help="slug of the catalog, such as shop")
        add.add_argument("kind", choices=list(dict(SCHEDULED_KINDS)))
        when = add.add_mutually_exclusive_group(required=True)
        when.add_argument("--hour", type=int, help="0 to 23, UTC")
        when.add_argument("--interactions", type=int, help="new ones since the last training")
        when.add_argument("--drift", type=float, help="largest PSI that is too much, such as 0.25")
        add.add_argument("--every-hours", type=int, default=24, help="24 = once a day")
        for verb in VERBS:
            verbs.add_parser(verb).add_argument("schedule", type=int, help="its number in the list")
        promotion = verbs.add_parser("promotion", help="may what they train go live by itself?")
        promotion.add_argument("catalog", help="slug of the catalog, such as shop")
        promotion.add_argument("allowed", choices=["on", "off"])

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "list":
                self._list()
            case "add":
                self._add(options)
            case "promotion":
                catalog = find_catalog(options["catalog"])
                schedules.allow_promotion(catalog, options["allowed"] == "on")
                self.stdout.write(f"promotion by schedules of {catalog.slug}: {options['allowed']}")
            case verb:
                schedule = self._find(options["schedule"])
                self.stdout.write(f"{verb} {self._line(schedule)}")
                VERBS[verb](schedule)

    def _list(self) -> None:
        found = Schedule.objects.select_related("catalog").order_by("pk")
        for schedule in found:
            self.stdout.write(self._line(schedule))
        if not found:
            self.stdout.write("there is no schedule; manage.py schedule add shop train --hour 2")

    def _add(self, options: dict[str, Any]) -> None:
        trigger, names = Schedule.Trigger.TIMETABLE, ["hour", "every_hours"]
        for other in (Schedule.Trigger.INTERACTIONS, Schedule.Trigger.DRIFT):
            if options[other] is not None:
                trigger, names = other, [other.value]
        try:
            schedule = schedules.save_schedule(
                find_catalog(options["catalog"]),
                options["kind"],
                trigger,
                {name: options[name] for name in names},
            )
        except TrainingFault as fault:
            raise CommandError(str(fault)) from fault
        self.stdout.write(self._line(schedule))

    def _find(self, number: int) -> Schedule:
        schedule = Schedule.objects.select_related("catalog").filter(pk=number).first()
        if schedule is None:
            raise CommandError(f"There is no schedule {number}; manage.py schedule list.")
        return schedule

    def _line(self, schedule: Schedule) -> str:
        return f"{schedule.pk}: {schedule}{' (paused)' if schedule.is_paused else ''}"
