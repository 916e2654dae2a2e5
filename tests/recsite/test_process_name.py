"""What a process is called in PostgreSQL."""

import pytest

from recsite.process_name import process_name


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["manage.py", "promote", "b", "--reason", "worker"], "manage.py promote"),
        (["/srv/site/manage.py"], "manage.py"),
        (["/venv/celery/__main__.py", "-A", "recsite.celery", "worker"], "celery worker"),
        (["/usr/bin/celery", "-A", "recsite.celery", "beat"], "celery beat"),
        (["celery", "report"], "celery"),
        (["/venv/granian/__main__.py", "--interface", "wsgi"], "web"),
        (["/usr/bin/granian", "recsite.wsgi:application"], "web"),
        (["/venv/pytest/__main__.py", "-q"], "pytest"),
        (["x" * 99], "x" * 63),
        ([""], "python"),
        ([], "python"),
    ],
)
def test_from_the_command_line(arguments: list[str], name: str) -> None:
    assert process_name(arguments) == name
