"""The farm's own middleware: the Content-Security-Policy."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

Handler = Callable[[HttpRequest], HttpResponse]

POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
# The bundled documentation of the API sets styles from its own script.
DOCS_POLICY = POLICY + "; style-src 'self' 'unsafe-inline'"


def content_security_policy(get_response: Handler) -> Handler:
    """Send the policy with every page: scripts, styles and data come from this farm only."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        policy = DOCS_POLICY if request.path.startswith("/api/docs/") else POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return respond
