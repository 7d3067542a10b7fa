"""The files in ``deploy/`` say the same as the settings, and as each other."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from django.urls import reverse

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
EXAMPLE = (DEPLOY / "production.env.example").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
NGINX = (DEPLOY / "nginx.conf").read_text()
GUNICORN = (DEPLOY / "gunicorn.conf.py").read_text()
SECRET = {"SECRET_KEY", "DATABASE_URL", "POSTGRES_PASSWORD"}


def named_in_example() -> set[str]:
    return set(re.findall(r"^#?([A-Z_]+)=", EXAMPLE, re.M))


@pytest.mark.once
def test_the_example_names_every_setting_of_production() -> None:
    read = (ROOT / "taskfarm_site" / "settings.py").read_text() + GUNICORN
    names = set(re.findall(r"env\.\w+\(\s*\"([A-Z_]+)\"", read))
    names |= set(re.findall(r"environ\.get\(\"([A-Z_]+)\"", read))
    assert names - {"DEBUG"} <= named_in_example()
    assert "DEBUG" not in named_in_example()


@pytest.mark.once
def test_the_example_holds_no_secret_and_repeats_the_defaults() -> None:
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", EXAMPLE, re.M))
    assert {name for name in SECRET if values[name]} == set()
    assert int(values["TASKFARM_MAX_TASKS"]) == settings.TASKFARM_MAX_TASKS
    assert int(values["TASKFARM_MAX_BODY"]) == settings.TASKFARM_MAX_BODY
    assert int(values["TASKFARM_TOKEN_DAYS"]) == settings.TASKFARM_TOKEN_DAYS


@pytest.mark.once
def test_nginx_leaves_the_limits_to_the_farm() -> None:
    size = re.search(r"client_max_body_size (\d+)m;", NGINX)
    patience = re.search(r"proxy_read_timeout (\d+)s;", NGINX)
    timeout = re.search(r"^timeout = (\d+)", GUNICORN, re.M)
    assert size
    assert patience
    assert timeout
    assert settings.TASKFARM_MAX_BODY < int(size[1]) * 2**20 < 1.5 * settings.TASKFARM_MAX_BODY
    assert int(patience[1]) >= int(timeout[1])
    assert "X-Forwarded-For $proxy_add_x_forwarded_for" in NGINX
    assert "X-Forwarded-Proto $scheme" in NGINX


@pytest.mark.once
def test_nginx_keeps_the_metrics_inside() -> None:
    assert re.search(r"location = /metrics \{\s*return 404;\s*\}", NGINX)
    assert reverse("metrics") == "/metrics"


@pytest.mark.once
def test_compose_finds_what_it_replaces_and_publishes_only_the_proxy() -> None:
    services = COMPOSE["services"]
    assert {name for name, service in services.items() if service.get("ports")} == {"proxy"}
    assert NGINX.count("127.0.0.1:5000") == 1, "the proxy's command puts web:5000 there"
    assert services["migrate"]["depends_on"]["database"]["condition"] == "service_healthy"
    assert set(services["proxy"]["networks"]) & set(services["database"]["networks"]) == set()


@pytest.mark.once
def test_the_image_gets_what_the_server_needs_and_nothing_else() -> None:
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert {path for path in kept if not (ROOT / path).exists()} == set()
    own = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert own - kept == {"benchmarks", "examples"} & own


@pytest.mark.once
def test_a_file_of_the_container_that_is_named_exists() -> None:
    unit = (DEPLOY / "taskfarm.service").read_text()
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for text in (unit, dockerfile):
        for path in re.findall(r"deploy/[\w.]+\.py", text):
            assert (ROOT / path).exists(), path


def health(address: str) -> int:
    """The exit code of the health check."""
    return subprocess.run(
        [sys.executable, DEPLOY / "healthcheck.py"], env={"TASKFARM_BIND": address}
    ).returncode


def test_the_health_check_knows_a_server_that_answers(server: Any) -> None:
    assert health(f"127.0.0.1:{server.port}") == 0
    assert health(f"0.0.0.0:{server.port}") == 0


@pytest.mark.once
def test_the_health_check_knows_a_server_that_is_not_there() -> None:
    assert health("127.0.0.1:9") == 1
