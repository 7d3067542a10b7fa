"""A real proxy between client and server loses, repeats, delays and reorders exchanges.

Whatever it does, each task is done exactly once in the books, with the output that belongs to it.
"""

from urllib.parse import urlsplit

import pytest
from taskfarm_worker import Farm, Task, connect

from runs import tallies
from runs.models import Run as Kept
from runs.models import Worker
from tests import factories
from tests.exchange import unruly
from tests.exchange.crew import Crew, check_each_done_once, fall_silent, hasten
from tests.exchange.unruly import Proxy

pytestmark = pytest.mark.django_db(transaction=True)
TASKS = 1500


def of_a_living_worker(method: str, path: str) -> bool:
    """Exchanges and signing off; a registration that comes twice is refused, as it should be."""
    return path.startswith("/api/worker/")


@pytest.mark.parametrize("seed", [1, 2])
def test_each_task_is_done_once_however_bad_the_network(
    farm: Farm, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    hasten(monkeypatch)
    port = urlsplit(farm._server.url_base).port or 0
    uuid = farm.create_run(TASKS, lost_attempts=100).uuid

    def work(task: Task) -> dict[str, int]:
        sum(range(100_000))
        return {"square": task.number**2}

    with (
        Proxy(port, seed, of_a_living_worker).listening() as proxy,
        connect(proxy.url, "alice", factories.PASSWORD) as far,
    ):
        run = far.run(uuid)
        with Crew(run, work, processes=3, heartbeat=1.0) as crew:
            assert crew.end() == 0
        proxy.settle()
    finish(farm, uuid)
    assert set(proxy.seen) == {"passed", *unruly.FAULTS}, "not every fault has happened"
    assert {row["task"]: row["output"] for row in farm.run(uuid).results()} == {
        number: {"square": number**2} for number in range(TASKS)
    }
    check_each_done_once(farm.run(uuid), TASKS)


def finish(farm: Farm, uuid: str) -> None:
    """Do what an exchange took that arrived after its worker had signed off: it counts as lost."""
    run = farm.run(uuid)
    while tallies.read(Kept.objects.get(uuid=uuid).id).done < TASKS:
        fall_silent(Worker.objects.all())
        run.work(lambda task: {"square": task.number**2}, heartbeat=1.0)
