"""Pictures of every page from a seeded farm: ``python -m tests.pages.screenshots FOLDER``.

Makes a temporary SQLite database, serves it with gunicorn, drives Chromium, leaves only PNG files.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-quic"]
WIDE = {"width": 1240, "height": 860}
PHONE = {"width": 390, "height": 844}
TALLEST = 1400


@contextmanager
def farm() -> Iterator[tuple[str, dict[str, str]]]:
    """A served demo farm: its address, and the addresses of its pages by name."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DATABASE_URL"] = f"sqlite:///{folder}/demo.sqlite3"
        os.environ["DJANGO_SETTINGS_MODULE"] = "taskfarm_site.settings"
        os.environ["ALLOWED_HOSTS"] = "127.0.0.1"
        os.environ["SECRET_KEY"] = "only-for-pictures-" + "x" * 50
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        from tests.pages import demo_farm
        from tests.server import serve

        call_command("migrate", verbosity=0)
        demo_farm.seed()
        pages = addresses()
        connection.close()
        with serve(connection.settings_dict) as server:
            yield server.url, pages


def addresses() -> dict[str, str]:
    """The pages to be pictured."""
    from runs.models import Run, Task, Worker
    from runs.states import TaskState

    run = Run.objects.get(name="CryoSat-2 tiles, March 2026")
    before = Run.objects.get(name="CryoSat-2 tiles, February 2026")
    fresh = Run.objects.get(namespace="glims")
    failed = Task.objects.filter(run=run, state=TaskState.FAILED).order_by("number")[0]
    worker = Worker.objects.filter(tasks__run=run, tasks__state=TaskState.COMPUTING).first()
    assert worker is not None
    lead = f"/runs/{run.uuid.hex}/"
    return {
        "runs": "/runs/",
        "run": lead,
        "tasks": f"{lead}tasks?state=failed",
        "map": f"{lead}map",
        "failures": f"{lead}failures",
        "workers": f"{lead}workers",
        "timeline": f"{lead}timeline?first=900",
        "compare": f"{lead}compare?with={before.uuid.hex}",
        "all-workers": "/workers/",
        "worker": f"/workers/{worker.uuid.hex}",
        "health": "/health/",
        "account": "/account/",
        "history": f"{lead}history",
        "policy": f"{lead}policy",
        "run-fresh": f"/runs/{fresh.uuid.hex}/",
        "task": f"{lead}tasks/{failed.number}",
        "restart": f"{lead}restart",
        "delete": f"{lead}delete",
        "new": "/runs/new",
        "nothing": "/runs/?search=nothing+like+this",
        "password": "/account/password/",
        "not-found": "/runs/0/",
        "admin-runs": "/admin/runs/run/",
        "api": "/api/docs/",
    }


def take(browser: Any, url: str, pages: dict[str, str], folder: Path) -> None:
    """Picture every page at a wide screen in light and dark, and on a phone."""
    from tests.pages import demo_farm

    kinds = (("light", WIDE, "light"), ("dark", WIDE, "dark"), ("phone", PHONE, "light"))
    for kind, viewport, scheme in kinds:
        context = browser.new_context(
            viewport=viewport, color_scheme=scheme, device_scale_factor=1.5
        )
        page = context.new_page()
        shoot(page, url + "/", folder / f"landing-{kind}.png")
        shoot(page, url + "/account/login/", folder / f"login-{kind}.png")
        page.fill("#id_username", "alice")
        page.fill("#id_password", demo_farm.PASSWORD)
        page.click("main button")
        page.wait_for_url("**/runs/")
        for name, path in pages.items():
            shoot(page, url + path, folder / f"{name}-{kind}.png")
        context.close()


def shoot(page: Any, address: str, file: Path) -> None:
    """One picture of the page, of a long one its upper part."""
    size = page.viewport_size
    page.goto(address)
    page.wait_for_load_state("networkidle")
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": size["width"], "height": min(height, TALLEST)})
    page.screenshot(path=file, animations="disabled")
    page.set_viewport_size(size)


def main(arguments: list[str]) -> int:
    """Write the pictures into the folder that is named, ``docs/images`` by default."""
    from playwright.sync_api import sync_playwright

    folder = Path(arguments[0] if arguments else "docs/images")
    folder.mkdir(parents=True, exist_ok=True)
    with farm() as (url, pages), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        take(browser, url, pages, folder)
        browser.close()
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
