"""``GET /``: what this is and where to go on, for a program and for a person."""

import pytest
from django.test import Client

from taskfarm_site import __version__

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["application/json", "application/json, text/plain, */*"])
@pytest.mark.django_db
def test_a_program_gets_json_with_addresses_that_work(client: Client, accept: str) -> None:
    response = client.get("/", headers={"Accept": accept})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("application/json")
    about = response.json()
    assert (about["name"], about["version"]) == ("taskfarm", __version__)
    assert about["api"] == "http://testserver/api/"
    for address in (about["documentation"], about["schema"]):
        assert client.get(address).status_code == 200


@pytest.mark.django_db
def test_a_person_gets_a_page(client: Client) -> None:
    response = client.get("/", headers={"Accept": BROWSER})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")
