"""All settings of the farm, read from the environment; see ``docs/reference/settings.md``.

Without any variable set the farm serves this machine only, from an SQLite file beside
``manage.py``. Setting ``ALLOWED_HOSTS`` makes it a server for others: from then on nothing is
made up for you, and a missing ``SECRET_KEY`` stops the start.
"""

import sys
import zoneinfo
from datetime import timedelta
from pathlib import Path

from taskfarm_site import __version__, databases, env, secret_key

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Who may reach it ---------------------------------------------------------------------------
DEBUG = env.flag("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS") or ["localhost", "127.0.0.1", "[::1]"]
LOCAL_ONLY = not env.words("ALLOWED_HOSTS")
HTTPS = env.flag("TASKFARM_HTTPS", False)
# Proxies in front of gunicorn: how many to trust for the client's address.
PROXIES = env.number("TASKFARM_PROXIES", 0, least=0, most=10)
CSRF_TRUSTED_ORIGINS = env.words("TASKFARM_TRUSTED_ORIGINS")

# --- Monitoring ---------------------------------------------------------------------------------
# What is set must be met, both if both are; neither: monitoring.py says whom that lets in.
TASKFARM_METRICS_TOKEN = env.secret("TASKFARM_METRICS_TOKEN", least=16)
TASKFARM_METRICS_ALLOW = env.networks("TASKFARM_METRICS_ALLOW")

# --- Database -----------------------------------------------------------------------------------
DATABASES = {
    "default": databases.database(env.text("DATABASE_URL"), default=BASE_DIR / "taskfarm.sqlite3")
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = secret_key.find(
    env.text("SECRET_KEY"), local_only=LOCAL_ONLY, path=BASE_DIR / ".secret-key"
)

# --- Limits of the farm -------------------------------------------------------------------------
TASKFARM_MAX_TASKS = env.number("TASKFARM_MAX_TASKS", 100_000_000, least=1, most=2_000_000_000)
TASKFARM_MAX_BODY = env.number("TASKFARM_MAX_BODY", 8 * 2**20, least=1024, most=2**30)
DATA_UPLOAD_MAX_MEMORY_SIZE = TASKFARM_MAX_BODY

# --- Applications -------------------------------------------------------------------------------
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    # Serves the static files under runserver too, so that both ways of serving are one.
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "accounts.apps.FailedLoginsConfig",  # django-axes
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "taskfarm_site",
    "accounts",
    "runs",
]
MIDDLEWARE = [
    "runs.api.short_way.short_way",
    "taskfarm_site.middleware.time_exchanges",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "taskfarm_site.middleware.content_security_policy",
    "taskfarm_site.middleware.show_turns",
    "taskfarm_site.middleware.Sessions",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "taskfarm_site.middleware.Authentication",
    "taskfarm_site.middleware.Messages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "taskfarm_site.urls"
WSGI_APPLICATION = "taskfarm_site.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "taskfarm_site.context.farm",
            ],
        },
    },
]

# --- Accounts -----------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "run-list"
LOGOUT_REDIRECT_URL = "login"

TASKFARM_TOKEN_DAYS = env.number("TASKFARM_TOKEN_DAYS", 30, least=1, most=3650)
SIMPLE_JWT = {
    "ACCESS_TOKEN_LIFETIME": timedelta(days=TASKFARM_TOKEN_DAYS),
    # A changed password ends every token that was made with the old one.
    "CHECK_REVOKE_TOKEN": True,
}

# Ten wrong passwords for one name from one address lock that pair out for a quarter of an hour.
AXES_FAILURE_LIMIT = env.number("TASKFARM_LOGIN_FAILURES", 10, least=1, most=1000)
AXES_COOLOFF_TIME = timedelta(
    minutes=env.number("TASKFARM_LOGIN_LOCK_MINUTES", 15, least=1, most=1440)
)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_DISABLE_ACCESS_LOG = True  # else every check of a password writes a row
AXES_VERBOSE = False
# Tries during a lockout do not prolong it: Retry-After says the truth.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
# The log names whose logins fail and from where; never a password.
AXES_SENSITIVE_PARAMETERS = ["password"]
AXES_LOCKOUT_CALLABLE = "accounts.lockout.respond"
AXES_CLIENT_IP_CALLABLE = "accounts.lockout.client_address"

# --- Cookies and transport ----------------------------------------------------------------------
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Monitors ask gunicorn itself, past the proxy that speaks HTTPS.
SECURE_REDIRECT_EXEMPT = ["^(healthz|readyz|metrics)$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and PROXIES else None
X_FRAME_OPTIONS = "DENY"

# --- The API ------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.FarmAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["runs.api.parsers.ObjectParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "runs.api.errors.handle",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Taskfarm",
    "VERSION": __version__,
    "DESCRIPTION": "Hands numbered tasks to workers and keeps the state of every one of them.",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PUBLIC": True,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": ["runs.api.schema.add_common_errors"],
}

# --- Language, time, static files, logs ---------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = env.choice("TASKFARM_TIME_ZONE", "UTC", zoneinfo.available_timezones())
USE_I18N = False
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Once collected, files carry their hash in their name and are cached for a year; before that
# (a fresh clone, the tests) they are served straight from where they lie.
COLLECTED = (STATIC_ROOT / "staticfiles.json").exists()
WHITENOISE_USE_FINDERS = not COLLECTED
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "taskfarm_site.storage.HashedStorage"
        # The first collection has to hash, too: its manifest is what makes COLLECTED true.
        if COLLECTED or "collectstatic" in sys.argv[1:2]
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

LOG_LEVEL = env.choice(
    "TASKFARM_LOG_LEVEL", "WARNING", {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}
)
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    # Refusals of bad input are the caller's business; failures of ours are errors.
    "loggers": {
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "axes": {"level": "ERROR"},
    },
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
