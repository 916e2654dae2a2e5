"""manage.py doctor CATALOG: the findings of the dashboard's data doctor; exit code 1 when red."""

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder

from training.console import find_catalog
from training.doctor import examine
from training.findings import Colour


class Command(BaseCommand):
    help = "Is a catalog's data fit to learn from? One line a finding, the worst first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("catalog", help="slug of the catalog, such as shop")
        parser.add_argument("--json", type=Path, metavar="F", help="all figures, as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        found = examine(find_catalog(options["catalog"]))
        for one in found.findings:
            cure = " ".join(part for part in (one.cure, one.command) if part)
            self.stdout.write(f"{one.colour:5}  {one.name}: {one.text}{cure and f' → {cure}'}")
        if options["json"]:
            try:
                options["json"].write_text(
                    json.dumps(found.as_dict(), cls=DjangoJSONEncoder, indent=2) + "\n"
                )
            except OSError as error:
                raise CommandError(f"{options['json']}: {error.strerror}.") from None
        if found.colour == Colour.RED:
            sys.exit(1)
