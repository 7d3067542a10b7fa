"""Who may read ``/metrics``: by token, by address, and what a proxy in front changes."""

from typing import Any

import pytest
from django.test import Client

from taskfarm_site import env
from tests.site.scraping import BEARER, TOKEN

pytestmark = pytest.mark.django_db


@pytest.fixture
def farm(settings: Any) -> Any:
    """The settings of a farm without proxies, of which nothing on metrics is said."""
    settings.TASKFARM_METRICS_TOKEN, settings.TASKFARM_METRICS_ALLOW = "", []
    settings.PROXIES = 0
    return settings


def allow(monkeypatch: pytest.MonkeyPatch, farm: Any, text: str) -> None:
    """Allow what the variable says."""
    monkeypatch.setenv("X", text)
    farm.TASKFARM_METRICS_ALLOW = env.networks("X")


def ask(peer: str = "127.0.0.1", **headers: str) -> int:
    """The status of an answer to somebody who calls from there."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    answer = Client().get("/metrics", headers=named, REMOTE_ADDR=peer)
    if answer.status_code != 200:
        assert set(answer.json()) == {"detail", "code"}
        assert b"taskfarm_" not in answer.content
    return answer.status_code


@pytest.mark.parametrize(
    ("peer", "status"), [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200),
                         ("10.1.2.3", 403), ("", 403), ("nonsense", 403)]
)  # fmt: skip
def test_a_farm_for_this_machine_tells_this_machine(farm: Any, peer: str, status: int) -> None:
    farm.LOCAL_ONLY = True
    assert ask(peer) == status


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"])
def test_a_farm_for_this_machine_tells_nobody_who_came_through_a_proxy(
    farm: Any, name: str
) -> None:
    farm.LOCAL_ONLY = True
    assert ask("127.0.0.1", **{name: "127.0.0.1"}) == 403


def test_a_farm_for_others_tells_nobody_until_somebody_is_named(farm: Any) -> None:
    farm.LOCAL_ONLY = False
    assert ask("127.0.0.1") == 403
    answer = Client().get("/metrics")
    assert "TASKFARM_METRICS_TOKEN or TASKFARM_METRICS_ALLOW" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("header", "status"),
    [(f"Bearer {TOKEN}", 200), (f"bearer  {TOKEN} ", 200), (f"Bearer {TOKEN}x", 401),
     (f"Bearer {TOKEN[:-1]}", 401), (TOKEN, 401), (f"Basic {TOKEN}", 401), ("Bearer", 401),
     ("Bearer \xfc", 401), ("", 401)],
)  # fmt: skip
def test_a_token_lets_in_from_anywhere(farm: Any, header: str, status: int) -> None:
    farm.TASKFARM_METRICS_TOKEN = TOKEN
    assert ask("192.0.2.9", Authorization=header) == status


def test_a_missing_token_is_asked_for(farm: Any) -> None:
    farm.LOCAL_ONLY, farm.TASKFARM_METRICS_TOKEN = True, TOKEN
    answer = Client().get("/metrics")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize(
    ("peer", "status"), [("10.1.9.9", 200), ("10.2.0.1", 403), ("fd00::7", 200), ("127.0.0.1", 403)]
)
def test_a_list_lets_in_those_on_it(
    farm: Any, monkeypatch: pytest.MonkeyPatch, peer: str, status: int
) -> None:
    farm.LOCAL_ONLY = True
    allow(monkeypatch, farm, "10.1.0.0/16, fd00::7")
    assert ask(peer) == status


def test_with_both_set_both_are_asked_for(farm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    farm.TASKFARM_METRICS_TOKEN = TOKEN
    allow(monkeypatch, farm, "10.1.2.3")
    assert ask("10.1.2.3", **BEARER) == 200
    assert ask("10.1.2.3") == 401
    assert ask("10.1.2.4", **BEARER) == 403


@pytest.mark.parametrize(
    ("proxies", "forwarded", "status"),
    [
        (0, "", 200), (0, "127.0.0.1", 403), (0, "192.0.2.9", 403),
        (1, "", 200), (1, "192.0.2.9", 403), (1, "127.0.0.1, 192.0.2.9", 403),
        (1, "127.0.0.1", 200),  # a program on the proxy's machine, and the proxy is trusted
        (2, "127.0.0.1", 403), (2, "127.0.0.1, 192.0.2.9, 10.0.0.1", 403), (1, "x", 403),
    ],
)  # fmt: skip
def test_behind_a_proxy_on_this_machine_not_everybody_is_local(
    farm: Any, monkeypatch: pytest.MonkeyPatch, proxies: int, forwarded: str, status: int
) -> None:
    farm.PROXIES = proxies
    allow(monkeypatch, farm, "127.0.0.1, ::1")
    assert ask("127.0.0.1", **({"X-Forwarded-For": forwarded} if forwarded else {})) == status


def test_nobody_writes_to_it(farm: Any) -> None:
    farm.LOCAL_ONLY = True
    assert Client().post("/metrics").status_code == 405
    assert Client().head("/metrics").status_code == 200


def test_it_is_not_kept_by_anybody(farm: Any) -> None:
    farm.LOCAL_ONLY = True
    answer = Client().get("/metrics")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize("text", ["farm.example.org", "10.0.0.1/8", "10.0.0", "10.1.2.3 10.1.2.4"])
def test_what_is_no_address_is_refused_by_name(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("X", text)
    with pytest.raises(env.ImproperlyConfigured, match=r"X: .*10\.1\.0\.0/16"):
        env.networks("X")


def test_a_token_that_can_be_guessed_is_refused_without_telling_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("X", "sesame")
    with pytest.raises(env.ImproperlyConfigured, match="X has 6 characters") as refusal:
        env.secret("X", least=16)
    assert "sesame" not in str(refusal.value)
