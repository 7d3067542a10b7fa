"""What monitors ask: is it up, is it ready, and its numbers for Prometheus."""

import logging
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.db import Error, InterfaceError, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.http import require_safe

from runs import metrics as numbers
from taskfarm_site import exposition

log = logging.getLogger(__name__)

Networks = Sequence[IPv4Network | IPv6Network]
LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1"))
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PROTO",
             "HTTP_X_REAL_IP", "HTTP_FORWARDED", "HTTP_VIA")  # fmt: skip
"""What proxies add. Where nobody told us of one, the peer's address is the proxy's, nobody's."""
AWAY = "The database cannot be reached now."


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Up: this process answers. It asks the database nothing."""
    return plainly({"status": "up"})


@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Ready: the database answers, and has all the tables of this version; else 503."""
    try:
        missing = look_for_missing()
    except Error as error:
        log.warning("Not ready: %s", error)
        return unready(AWAY)
    if missing:
        return unready(
            f"{len(missing)} migrations are not applied, the first is {missing[0]}: "
            "run manage.py migrate."
        )
    return plainly({"status": "ready"})


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The farm's numbers for Prometheus, for those whom the settings let in."""
    refused = refusal(request)
    if refused is not None:
        return refused
    try:
        found = numbers.read()
    except (OperationalError, InterfaceError) as error:
        log.warning("No metrics: %s", error)
        return unready(AWAY)
    headers = {"Cache-Control": "no-store"}
    return HttpResponse(
        exposition.render(found), content_type=exposition.CONTENT_TYPE, headers=headers
    )


def plainly(body: dict[str, str], status: int = 200) -> JsonResponse:
    """A small answer that nobody may keep."""
    return JsonResponse(body, status=status, headers={"Cache-Control": "no-store"})


def unready(detail: str) -> JsonResponse:
    """503, in the shape of the farm's errors."""
    return plainly({"detail": detail, "code": "unavailable"}, 503)


# --- Ready? -------------------------------------------------------------------------------------

_migrated = False
"""Once all migrations were there they stay there: a newer version is another process."""


def look_for_missing() -> list[str]:
    """The migrations that the database lacks; asks it something in any case.

    A connection may have been lost while nobody used it: that the next one works is what counts.

    Raises:
        Error: the database does not answer.
    """
    try:
        return missing_migrations()
    except (OperationalError, InterfaceError):
        if connection.in_atomic_block:
            raise
        connection.close()
        return missing_migrations()


def missing_migrations() -> list[str]:
    """The migrations that the database lacks; a single short query once there was none."""
    global _migrated
    if _migrated:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return []
    executor = MigrationExecutor(connections["default"])
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    _migrated = not plan
    return [f"{migration.app_label}.{migration.name}" for migration, _ in plan]


# --- Who may read the numbers -------------------------------------------------------------------


def refusal(request: HttpRequest) -> HttpResponse | None:
    """Why somebody may not read the numbers; None where he may.

    Where a token is set it must be borne, where addresses are set it must come from one of them.
    Where neither is, this machine may, as long as the farm is for this machine only: behind a
    proxy that says nothing of its callers, all of them look as if they were on this machine.
    """
    token: str = settings.TASKFARM_METRICS_TOKEN
    allowed: Networks = settings.TASKFARM_METRICS_ALLOW
    if not token and not allowed:
        if not settings.LOCAL_ONLY:
            return forbidden("set TASKFARM_METRICS_TOKEN or TASKFARM_METRICS_ALLOW first.")
        allowed = LOOPBACK
    if allowed and not comes_from(request, allowed):
        return forbidden("TASKFARM_METRICS_ALLOW does not have the address that you come from.")
    if token and not bears(request, token):
        detail = "The metrics want TASKFARM_METRICS_TOKEN as a Bearer token."
        answer = plainly({"detail": detail, "code": "not_authenticated"}, 401)
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer
    return None


def forbidden(why: str) -> JsonResponse:
    """403, with the setting to look at."""
    return plainly({"detail": f"The metrics are not for you: {why}", "code": "forbidden"}, 403)


def bears(request: HttpRequest, token: str) -> bool:
    """Whether the request has the token, compared in a time that tells nothing of it."""
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    return kind.lower() == "bearer" and constant_time_compare(given.strip(), token)


def comes_from(request: HttpRequest, networks: Networks) -> bool:
    """Whether the request comes from one of some networks, as far as anybody knows."""
    sender = address_of(request)
    return sender is not None and any(sender in network for network in networks)


def address_of(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """Where the request comes from; None where that is not known for sure.

    Nothing is taken from a header unless ``TASKFARM_PROXIES`` says that proxies of ours write it,
    and what came through a proxy that nobody told us of comes from nowhere that is known.
    """
    chain = [one.strip() for one in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if chain != [""] and 0 < settings.PROXIES <= len(chain):
        text = chain[-settings.PROXIES]
    elif any(name in request.META for name in FORWARDED):
        return None
    else:
        text = request.META.get("REMOTE_ADDR", "")
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:  # a Unix socket has none
        return None
    return getattr(found, "ipv4_mapped", None) or found
