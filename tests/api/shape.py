"""The one shape of every refusal under ``/api/``."""

from typing import Any


def assert_refused(response: Any, status: int, code: str) -> dict[str, Any]:
    """Assert that a response is a refusal with this status and code, in the one shape.

    Args:
        response: of Django's test client or of requests.
        status: the expected status.
        code: the expected word for programs.

    Returns:
        The body.
    """
    text = response.content[:500]
    assert response.status_code == status, text
    assert response.headers["Content-Type"].startswith("application/json"), text
    body: dict[str, Any] = response.json()
    assert {"detail", "code"} <= set(body) <= {"detail", "code", "errors"}, text
    assert body["code"] == code, text
    assert isinstance(body["detail"], str), text
    # A refusal is read by people: it says something, but never echoes megabytes.
    assert 10 < len(body["detail"]) < 1000, text
    if "errors" in body:
        assert code == "invalid", text
        assert body["errors"], text
        for field, reasons in body["errors"].items():
            assert isinstance(field, str)
            assert reasons, text
            assert all(isinstance(reason, str) and reason for reason in reasons), text
    return body
