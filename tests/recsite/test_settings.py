"""Values from the environment: a wrong one is one line, exit status 1, and nothing is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ELSEWHERE = {
    "DATABASE_URL": "postgres://user:password@db.invalid/recsite",
    "CELERY_BROKER_URL": "redis://mq.invalid",
}


def manage(var: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return python(var, str(ROOT / "manage.py"), *arguments, **environment)


def python(var: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **ELSEWHERE, "RECSITE_VAR": str(var), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "nonsense"),
        ("DATABASE_URL", "sqlite:///db.sqlite3"),
        ("DATABASE_URL", "postgres://user:hush@host:99999999/recsite"),
        ("DATABASE_URL", "postgres://user:hush@host"),
        ("CELERY_BROKER_URL", "redis"),
        ("CELERY_BROKER_URL", "redis://:hush@host:port"),
        ("CELERY_BROKER_URL", "sqs://hush"),
        ("ALERT_WEBHOOK_URL", "ftp://hush@host/hook"),
        ("DEBUG", "perhaps"),
        ("DEMO_SCALE", "huge"),
        ("RECSITE_DEVICE", "abacus"),
        ("ENCODER_MAX_TOKENS", "0"),
        ("ENCODER_DTYPE", "float8"),
        ("ENCODER_SHA256", "abc"),
        ("ENCODER_MODEL", "/no/such/folder"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_it(tmp_path: Path, name: str, value: str) -> None:
    ran = manage(tmp_path, "check", **{name: value})
    assert ran.returncode == 1
    assert ran.stdout == ""
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith("recsite: ")
    assert name in line
    assert "hush" not in line


@pytest.mark.parametrize(
    "program", [("-m", "celery", "-A", "recsite.celery", "report"), ("-c", "import recsite.wsgi")]
)
def test_workers_and_the_web_process_say_it_in_one_line_too(
    tmp_path: Path, program: tuple[str, ...]
) -> None:
    ran = python(tmp_path, *program, RECSITE_DEVICE="abacus")
    assert ran.returncode == 1
    (line,) = ran.stderr.strip().splitlines()
    assert line.startswith("recsite: ")
    assert "RECSITE_DEVICE" in line


def test_a_broker_that_refuses_is_given_up_at_once(tmp_path: Path) -> None:
    send = (
        "import recsite.celery, time; began = time.monotonic()\n"
        "try: recsite.celery.app.send_task('x', retry=False)\n"
        "except Exception as fault: print(type(fault).__name__, time.monotonic() - began)"
    )
    ran = python(tmp_path, "-c", send, CELERY_BROKER_URL="redis://127.0.0.1:1")
    name, seconds = ran.stdout.split()
    assert name == "OperationalError"
    assert float(seconds) < 1.5


def test_urls_of_other_services_are_taken(tmp_path: Path) -> None:
    for url in (
        "redis+socket:///run/broker.sock?virtual_host=0",
        "amqps://user:password@mq.invalid:5671//",
    ):
        ran = manage(tmp_path, "diffsettings", CELERY_BROKER_URL=url)
        assert ran.returncode == 0, ran.stderr


def test_without_a_database_a_command_says_so_in_one_line(tmp_path: Path) -> None:
    ran = manage(tmp_path, "migrate", "--plan")
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("recsite: the database fails: ")


def test_the_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    manage(tmp_path, "diffsettings")
    key = tmp_path / "secret_key"
    made = key.read_text()
    assert len(made) >= 50
    assert key.stat().st_mode & 0o077 == 0
    manage(tmp_path, "diffsettings")
    assert key.read_text() == made
