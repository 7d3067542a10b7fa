"""How the server of taskfarm_stub.py misbehaves: what is done in place of answering a call."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from taskfarm_stub import Body, Exchange, Fault


def answer(status: int, body: Body = None, **headers: str) -> Fault:
    """Make a fault: answer this, do nothing."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda exchange: exchange.reply(status, body, sent)


def drop_before(exchange: Exchange) -> None:
    """Fault: the connection breaks before the call is carried out."""
    exchange.drop()


def drop_after(exchange: Exchange) -> None:
    """Fault: the call is carried out, then the connection breaks."""
    exchange.handle()
    exchange.drop()


def delay(event: threading.Event) -> Fault:
    """Make a fault: the call is carried out at once, its answer comes when an event is set."""

    def fault(exchange: Exchange) -> None:
        answered = exchange.handle()
        event.wait(30)
        exchange.reply(*answered)

    return fault


def twice(exchange: Exchange) -> None:
    """Fault: the call reaches the server twice; the second answer is the one that arrives."""
    exchange.handle()
    exchange.reply(*exchange.handle())


def stall(exchange: Exchange) -> None:
    """Fault: the call is carried out, but the answer does not come while the test lasts."""
    exchange.handle()
    exchange.stub.ended.wait(30)
    exchange.drop()


def bad_gateway_after(exchange: Exchange) -> None:
    """Fault: the call is carried out, but a proxy answers 502."""
    exchange.handle()
    exchange.reply(502, "<html><head><title>502 Bad Gateway</title></head></html>")
