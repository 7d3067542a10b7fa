"""The farm's settings for the tests: one environment variable picks the database.

``TASKFARM_TEST_DATABASE=postgresql`` uses the PostgreSQL from PyPI, anything else SQLite in a file,
so that other connections and other processes see the same data.
"""

import os
import tempfile
from pathlib import Path

os.environ["ALLOWED_HOSTS"] = "localhost,127.0.0.1,testserver"
os.environ["SECRET_KEY"] = "only-for-tests-" + "x" * 50
for name in ("DATABASE_URL", "DEBUG", "TASKFARM_HTTPS"):
    os.environ.pop(name, None)

from taskfarm_site import databases  # noqa: E402
from taskfarm_site.settings import *  # noqa: E402, F403

FOLDER = Path(tempfile.gettempdir()) / f"taskfarm-tests-{os.getuid()}"
FOLDER.mkdir(mode=0o700, exist_ok=True)
POSTGRESQL = os.environ.get("TASKFARM_TEST_DATABASE") == "postgresql"

if POSTGRESQL:
    DATABASES = {"default": databases.pgserver(FOLDER / "postgresql", {})}
    TEST_NAME = f"test_taskfarm_{os.getpid()}"
else:
    DATABASES = {"default": databases.sqlite(FOLDER / "farm.sqlite3")}
    TEST_NAME = str(FOLDER / f"test-{os.getpid()}.sqlite3")
# A name per process, so that suites beside each other and the processes of `pytest -n` never meet.
DATABASES["default"]["TEST"] = {"NAME": TEST_NAME}

# A slow hash is tested where it matters; elsewhere it would only be slow.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.MD5PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
