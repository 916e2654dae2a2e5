"""The settings. Every value from the environment is cast and checked; a bad one stops the start."""

import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import dj_database_url
import django_stubs_ext
from celery.schedules import crontab
from csp.constants import NONCE, NONE, SELF
from environs import Env, EnvError, validate
from kombu import Queue

from ranking.encoder_files import DTYPES, POOLINGS, check_folder, looks_like_path
from ranking.errors import RankingFault
from recsite.faults import SetupFault
from recsite.process_name import process_name

django_stubs_ext.monkeypatch()  # so that Form[User] and the like may be said at run time

# One BLAS thread a process, said before numpy is loaded: products here are small, and on busy cores
# threads that wait for one another take many times as long as one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

BASE_DIR = Path(__file__).resolve().parent.parent
env = Env()


def _secret_key(var: Path) -> str:
    """The key from SECRET_KEY, or one that is made once and kept in var/ for this user only."""
    key: str = env.str("SECRET_KEY", "")
    if key:
        return key
    path = var / "secret_key"
    if not path.exists():
        var.mkdir(parents=True, exist_ok=True)
        draft = var / f".secret_key-{secrets.token_hex(4)}"
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(64))
        with suppress(FileExistsError):  # of two first starts at once, one makes the key
            path.hardlink_to(draft)
        draft.unlink()
    return path.read_text()


def _url(name: str, schemes: str, *, with_path: bool = False) -> str:
    """A URL of one of these schemes, or ''. It is never shown: it may hold a password."""
    url: str = env.str(name, "")
    try:
        parts = urlsplit(url)
        known = parts.scheme in schemes.split() and (parts.port or True)
    except ValueError:
        known = False
    if url and not (known and (parts.path.strip("/") or not with_path)):
        example = (
            f"{schemes.split()[0]}://user:password@host:port/{'database' if with_path else ''}"
        )
        raise SetupFault(f"{name} is no URL like {example} (schemes: {schemes}). Correct it.")
    return url


try:
    VAR_DIR: Path = env.path("RECSITE_VAR", BASE_DIR / "var").resolve()
    DEBUG: bool = env.bool("DEBUG", False)
    HTTPS: bool = env.bool("HTTPS", False)  # behind TLS: secure cookies, HSTS, redirects
    ALLOWED_HOSTS: list[str] = env.list("ALLOWED_HOSTS", ["localhost", "127.0.0.1", "[::1]"])
    CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", [])
    DATABASE_URL: str = _url("DATABASE_URL", "postgres postgresql", with_path=True)
    CELERY_BROKER_URL: str = _url(
        "CELERY_BROKER_URL", "redis rediss redis+socket sentinel amqp amqps memory"
    )
    ALERT_WEBHOOK_URL: str = _url("ALERT_WEBHOOK_URL", "https http")  # '' = alerts stay here
    DEMO: bool = env.bool("DEMO", False)  # visitors may look through the demo's people
    DEMO_SCALE: str = env.str("DEMO_SCALE", "small", validate=validate.OneOf(["small", "full"]))
    DEVICE: str = env.str(
        "RECSITE_DEVICE", "auto", validate=validate.OneOf(["auto", "cpu", "cuda", "mps"])
    )
    ENCODER_MODEL: str = env.str("ENCODER_MODEL", "")  # '' = the packaged all-MiniLM-L6-v2
    ENCODER_POOLING: str = env.str("ENCODER_POOLING", "mean", validate=validate.OneOf(POOLINGS))
    ENCODER_QUERY_PREFIX: str = env.str("ENCODER_QUERY_PREFIX", "")
    ENCODER_ITEM_PREFIX: str = env.str("ENCODER_ITEM_PREFIX", "")
    ENCODER_MAX_TOKENS: int = env.int(
        "ENCODER_MAX_TOKENS", 128, validate=validate.Range(min=8, max=32768)
    )
    ENCODER_DTYPE: str = env.str("ENCODER_DTYPE", "auto", validate=validate.OneOf(DTYPES))
    ENCODER_SHA256: str = env.str(  # of the weights; '' = whatever lies there
        "ENCODER_SHA256", "", validate=validate.Regexp(r"([0-9a-fA-F]{64})?$")
    )
    LOG_LEVEL: str = env.str(
        "LOG_LEVEL", "INFO", validate=validate.OneOf(["DEBUG", "INFO", "WARNING", "ERROR"])
    )
    RUN_LEASE_SECONDS: int = env.int("RUN_LEASE_SECONDS", 30, validate=validate.Range(min=5))
    RUN_CANCEL_GRACE_SECONDS: int = env.int(
        "RUN_CANCEL_GRACE_SECONDS", 10, validate=validate.Range(min=1)
    )
    RUN_MAX_ATTEMPTS: int = env.int("RUN_MAX_ATTEMPTS", 5, validate=validate.Range(min=1))
    IMPORT_DIR: Path = env.path("RECSITE_IMPORT_DIR", VAR_DIR / "inbox").resolve()
    UPLOAD_MAX_MB: int = env.int("UPLOAD_MAX_MB", 200, validate=validate.Range(min=1))
    if looks_like_path(ENCODER_MODEL):
        check_folder(Path(ENCODER_MODEL), ENCODER_MAX_TOKENS)
    SECRET_KEY: str = _secret_key(VAR_DIR)
except RankingFault as fault:
    raise SetupFault(str(fault)) from None
except EnvError as error:
    raise SetupFault(f"{error}. Correct the environment variable and start again.") from None

BUNDLE_DIR = VAR_DIR / "bundles"
ENCODER_DIR = VAR_DIR / "encoders"
RUN_DIR = VAR_DIR / "runs"
SNAPSHOT_DIR = VAR_DIR / "snapshots"
IMPORT_REPORT_DIR = VAR_DIR / "imports"
UPLOAD_DIR = VAR_DIR / "uploads"

EMBEDDED: bool = not DATABASE_URL or not CELERY_BROKER_URL
if EMBEDDED:
    from recsite import embedded  # with both URLs set it is not even imported

    _services = embedded.ensure(VAR_DIR)
    DATABASE_URL = DATABASE_URL or _services.database_url
    CELERY_BROKER_URL = CELERY_BROKER_URL or _services.broker_url

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "template_partials",
    "django_htmx",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_celery_beat",
    "catalog",
    "ranking",
    "training",
    "recsite",
]

MIDDLEWARE = [
    "recsite.outage.OutageMiddleware",
    "recsite.unstorable.UnstorableMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "recsite.language.LanguageMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "recsite.account.PersonMiddleware",
    "recsite.wrong_method.WrongMethodMiddleware",
]

ROOT_URLCONF = "recsite.urls"
WSGI_APPLICATION = "recsite.wsgi.application"
ASGI_APPLICATION = "recsite.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
                "recsite.account.person_context",
            ],
        },
    }
]

DATABASES = {"default": dj_database_url.parse(DATABASE_URL, conn_health_checks=True)}
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"].setdefault("application_name", process_name(sys.argv))
DATABASES["default"]["OPTIONS"]["pool"] = {"min_size": 1, "max_size": 12, "timeout": 3}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "recsite_cache",
        # Far above what five minutes of login attempts can fill, or a flood would free the slots.
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

AUTH_USER_MODEL = "catalog.User"
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "locale"]
FORMAT_MODULE_PATH = "recsite.formats"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_USE_FINDERS = DEBUG

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
        "base-uri": [NONE],
        "manifest-src": [SELF],
    }
}
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_HTTPONLY = LANGUAGE_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600  # seconds
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
FILE_UPLOAD_HANDLERS = [
    "recsite.upload_limit.LimitedUpload",
    "django.core.files.uploadhandler.TemporaryFileUploadHandler",
]
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024  # bytes

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["recsite.api.keys.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["recsite.api.keys.HasApiKey"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["recsite.api.parsing.StrictJSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "recsite.api.problems.problem_response",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Recsite API",
    "DESCRIPTION": "Search and recommendation over your own catalogs.",
    "VERSION": "1.0.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "defaultModelsExpandDepth": 0},
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
}

# The broker only wakes a worker; the truth of a run is its row (training/runs.py).
CELERY_TASK_ACKS_LATE = False
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_TIMEOUT = 2.0  # seconds: a page must not wait for a broker that is away
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 7 * 24 * 3600,  # seconds; of Redis
    # A sender that is refused tries once more and says so, instead of trying for the 2 s above.
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0,
    "interval_max": 0,
}
CELERY_TASK_QUEUES = [Queue("fast"), Queue("training")]  # a worker that names none takes both
CELERY_TASK_DEFAULT_QUEUE = "fast"  # a worker of its own takes the queue "training"
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_PUBLISH_RETRY = False
# Threads that watch the process of a run; a forked pool would not hear that its worker stops.
CELERY_WORKER_POOL = "threads"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_TIMEZONE = TIME_ZONE
# A message that no worker took by the time of the next one is dropped: they all say the same.
CELERY_BEAT_SCHEDULE = {
    "sweep-runs": {
        "task": "training.tasks.sweep_runs",
        "schedule": 15.0,  # seconds
        "options": {"expires": 15},
    },
    "refresh-vectors": {
        "task": "training.tasks.refresh_vectors",
        "schedule": 10.0,
        "options": {"expires": 10},
    },
    "run-schedules": {
        "task": "training.tasks.run_schedules",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "watch-rollouts": {
        "task": "training.tasks.watch_rollouts",
        "schedule": 60.0,
        "options": {"expires": 60},
    },
    "prepare-partitions": {
        "task": "training.tasks.prepare_partitions",
        "schedule": crontab(hour="1", minute="10"),
    },
    "measure-drift": {
        "task": "training.tasks.measure_drift",
        "schedule": crontab(hour="0", minute="40"),  # of the day that is over
    },
    "send-alerts": {
        "task": "training.tasks.send_alerts",
        "schedule": 300.0,
        "options": {"expires": 300},
    },
    "tidy": {"task": "training.tasks.tidy", "schedule": crontab(hour="3", minute="30")},
}

# Runs: training/leases.py and training/watcher.py say what these are for.
RUN_COMMAND = [sys.executable, str(BASE_DIR / "manage.py"), "execute_run"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
    # Tells every try to connect, in two lines each; recsite/outage.py says once what matters.
    "loggers": {"psycopg.pool": {"level": "ERROR"}},
}
