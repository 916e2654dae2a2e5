"""manage.py export_audit: the audit log as CSV, as the dashboard's download."""

import datetime
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from catalog.models import AuditEntry
from recsite import audit_file
from recsite.csv_file import csv_lines


class Command(BaseCommand):
    help = "Print the audit log as CSV, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--who", default="", help="a username, or the name of a process")
        parser.add_argument("--kind", default="", help="such as run, promotion, schedule, role")
        parser.add_argument("--catalog", default="", help="slug")
        parser.add_argument("--since", type=_day, help="first day, such as 2026-01-31")
        parser.add_argument("--until", type=_day, help="last day")

    def handle(self, *args: Any, **options: Any) -> None:
        names = ("who", "kind", "catalog", "since", "until")
        entries = AuditEntry.objects.matching(**{name: options[name] for name in names})
        for line in csv_lines(audit_file.COLUMNS, audit_file.rows(entries)):
            self.stdout.write(line, ending="")


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no day like 2026-01-31") from None
