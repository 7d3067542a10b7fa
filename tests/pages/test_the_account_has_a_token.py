"""The account's page makes a token that works, shows it once, and keeps it nowhere."""

import re

from rest_framework.test import APIClient

TOKEN = re.compile(r"TASKFARM_TOKEN=(\S+)")


def test_a_token_is_made_by_a_post_and_works(alice, visit, answer):
    client = visit(alice)
    assert not TOKEN.search(client.get("/account/").content.decode())
    response = answer(client, "/account/")
    token = TOKEN.search(response.content.decode())
    assert token is not None
    api = APIClient()
    api.credentials(HTTP_AUTHORIZATION=f"Bearer {token[1]}")
    assert api.get("/api/runs").status_code == 200
    assert "no-store" in response["Cache-Control"]
    assert token[1] not in client.get("/account/").content.decode()


def test_it_needs_a_login_and_a_csrf_token(client, alice, visit):
    assert client.get("/account/").url.startswith("/account/login/")
    assert visit(alice).post("/account/").status_code == 403
