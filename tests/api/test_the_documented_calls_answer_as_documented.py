"""Every documented call with its documented statuses and bodies."""

from rest_framework.test import APIClient

from runs.models import Run


def test_a_created_run_tells_its_id_its_uuid_and_its_size(api: APIClient) -> None:
    response = api.post("/api/run", {"numTasks": 10}, format="json")
    assert response.status_code == 201
    run = Run.objects.get()
    assert {"id": run.id, "uuid": run.uuid.hex, "numTasks": 10}.items() <= response.json().items()
