"""The farm's own middleware: the Content-Security-Policy, what only pages need, a stop-watch."""

import re
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse

from taskfarm_site.exposition import EXCHANGES

Handler = Callable[[HttpRequest], HttpResponse]


DOCS = "/api/docs/"
WHOSE = "whose"
"""The cookie that tells a page's script who is logged in."""


class PagesOnly:
    """Steps aside for the API, which knows no sessions: its calls are many and short.

    Its documentation is a page.
    """

    get_response: Any

    def __call__(self, request: HttpRequest) -> Any:
        """Handle a page; pass a call of the API on."""
        if request.path.startswith("/api/") and request.path != DOCS:
            return self.get_response(request)
        return super().__call__(request)  # type: ignore[misc]


class Sessions(PagesOnly, SessionMiddleware):
    """Django's sessions, for pages."""


class Authentication(PagesOnly, AuthenticationMiddleware):
    """Who is logged in, for pages; the API has ``accounts.authentication``.

    A cookie tells it to the pages' script: a page of somebody else that comes back from the
    browser's memory, or was drawn ahead, is taken away. It opens nothing.
    """

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        """Tell it with a page that tells whose it is."""
        whose = getattr(request, "shown_to", None)
        if whose is not None and whose != request.COOKIES.get(WHOSE, ""):
            response.set_cookie(
                WHOSE,
                whose,
                max_age=settings.SESSION_COOKIE_AGE,
                secure=settings.SESSION_COOKIE_SECURE,
                samesite="Lax",
            )
        return response


class Messages(PagesOnly, MessageMiddleware):
    """What the next page says, for pages."""


POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
# Which links are fetched ahead, while the pointer rests on them, stands in the page; no script.
PAGES_POLICY = POLICY + "; script-src 'self' 'inline-speculation-rules'"
# The bundled documentation of the API sets styles from its own script.
DOCS_POLICY = POLICY + "; style-src 'self' 'unsafe-inline'"


def content_security_policy(get_response: Handler) -> Handler:
    """Send the policy with every page: scripts, styles and data come from this farm only."""

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        policy = DOCS_POLICY if request.path.startswith(DOCS) else PAGES_POLICY
        response.headers.setdefault("Content-Security-Policy", policy)
        return response

    return respond


# The embeddings, overrides and isolates of Unicode: after one, words stand in another order.
TURNS = rb"\xe2(?:\x80[\xaa-\xae]|\x81[\xa6-\xa9])"
TURNED = re.compile(TURNS)
PARTS = re.compile(rb"(<textarea.*?</textarea>|<[^>]*>)|" + TURNS, re.DOTALL)
SHOWN = "\N{REPLACEMENT CHARACTER}".encode()


def show_turns(get_response: Handler) -> Handler:
    """Show characters that turn the direction of text as what they are: odd.

    In a name or in a log they would turn the page's own words, too: the question of a deletion
    among them. Values of fields stay as they are, for they are sent again.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        page = response.headers.get("Content-Type", "").startswith("text/html")
        if page and TURNED.search(response.content):
            response.content = PARTS.sub(lambda found: found[1] or SHOWN, response.content)
        return response

    return respond


def time_exchanges(get_response: Handler) -> Handler:
    """Measure how long exchanges take, credentials included; those that are refused do not count.

    It comes first, so that it sees all that this process does for one.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        if not request.path.startswith("/api/worker/"):
            return get_response(request)
        began = time.perf_counter()
        response = get_response(request)
        match = request.resolver_match
        refused = 400 <= response.status_code < 500
        if match is not None and match.url_name == "api-exchange" and not refused:
            EXCHANGES.observe(time.perf_counter() - began)
        return response

    return respond
