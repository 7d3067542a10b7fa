"""Login, logout, password, the landing page, and the pages for errors."""

import pytest
from django.contrib.auth.models import User
from django.template.loader import render_to_string
from django.test import Client

from tests.factories import PASSWORD


def test_login_leads_to_where_one_wanted_to_go(alice, client):
    page = client.get("/account/login/?next=/runs/new")
    assert b'value="/runs/new"' in page.content
    response = client.post(
        "/account/login/", {"username": "alice", "password": PASSWORD, "next": "/runs/new"}
    )
    assert response.url == "/runs/new"


def test_a_wrong_password_is_said_on_the_form(alice, client):
    response = client.post("/account/login/", {"username": "alice", "password": "x"})
    assert b"errorlist" in response.content
    assert b'value="alice"' in response.content


def test_too_many_wrong_passwords_show_a_page(alice, client, settings):
    settings.AXES_FAILURE_LIMIT = 2
    for _ in range(2):
        response = client.post("/account/login/", {"username": "alice", "password": "x"})
    assert response.status_code == 429
    assert b"locked out" in response.content


def test_logout_is_a_post(alice, visit, answer):
    client = visit(alice)
    assert client.get("/account/logout/").status_code == 405
    assert client.get("/runs/").status_code == 200
    client.get("/runs/new")
    token = client.cookies["csrftoken"].value
    response = client.post("/account/logout/", {"csrfmiddlewaretoken": token})
    assert '"cache"' in response.headers["Clear-Site-Data"], "Back is to show nothing"
    assert client.get("/runs/").status_code == 302


@pytest.mark.parametrize("secure", [False, True])
def test_a_cookie_tells_a_pages_script_who_is_logged_in_when_that_changes(
    alice, visit, answer, settings, secure
):
    settings.SESSION_COOKIE_SECURE = secure
    client = visit(alice)
    page = client.get("/runs/", secure=secure)
    told = page.cookies["whose"]
    assert f'data-whose="{alice.pk}"' in page.content.decode()
    assert (told.value, told["path"], told["samesite"]) == (str(alice.pk), "/", "Lax")
    assert (bool(told["secure"]), bool(told["httponly"])) == (secure, False)
    assert told["max-age"] == settings.SESSION_COOKIE_AGE
    assert "whose" not in client.get("/runs/", secure=secure).cookies
    client.cookies["whose"] = "9"
    assert client.get("/runs/", secure=secure).cookies["whose"].value == str(alice.pk)
    del client.cookies["sessionid"]
    assert "whose" not in client.get("/runs/", secure=secure).cookies  # leads to the login
    assert client.get("/account/login/", secure=secure).cookies["whose"].value == ""
    assert "whose" not in Client().get("/account/login/").cookies
    assert "whose" not in client.get("/api/runs", secure=secure).cookies


def test_the_password_is_changed_and_the_session_goes_on(alice, visit, answer):
    client = visit(alice)
    new = "a quite different horse"
    response = answer(client, "/account/password/", old_password=PASSWORD, new_password1=new,
                      new_password2=new)  # fmt: skip
    assert b"Your password is changed." in client.get(response.url).content
    alice.refresh_from_db()
    assert alice.check_password(new)


def test_a_wrong_old_password_changes_nothing(alice, visit, answer):
    new = "a quite different horse"
    answer(visit(alice), "/account/password/", old_password="x", new_password1=new,
           new_password2=new)  # fmt: skip
    assert User.objects.get().check_password(PASSWORD)


def test_the_landing_page_guides_a_fresh_installation(db, client):
    assert b"adduser" in client.get("/").content
    User.objects.create_user("alice")
    assert b"adduser" not in client.get("/").content


def test_who_is_logged_in_lands_on_the_runs(alice, visit):
    assert visit(alice).get("/").url == "/runs/"


@pytest.mark.parametrize("code", [400, 403, 404, 500])
def test_errors_are_pages_that_need_no_request(code):
    page = render_to_string(f"{code}.html", {"detail": "Because."})
    assert "Because." in page
    assert str(code) in page


def test_a_page_that_fails_answers_500_as_a_page(alice, monkeypatch):
    monkeypatch.setattr("runs.pages.run_list.RunFilter", None)
    client = Client(raise_request_exception=False)
    client.force_login(alice)
    response = client.get("/runs/")
    assert response.status_code == 500
    assert b"Something broke" in response.content


def test_unknown_addresses_are_a_page(client, db):
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert b"Nothing here" in response.content


def test_no_page_has_inline_script_or_style(alice, visit):
    for path in ("/runs/", "/runs/new", "/account/password/", "/nowhere"):
        page = visit(alice).get(path).content.decode()
        assert "<style" not in page
        assert " style=" not in page
        assert "<script>" not in page
        assert " onclick" not in page
