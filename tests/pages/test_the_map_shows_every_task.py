"""The map: one byte per task by number, several tasks in a cell of a large run."""

import gzip
import json

import pytest
from django.utils import timezone

from runs import layers
from runs import map as maps
from runs.models import Tally, Task
from runs.tallies import Counts
from tests import factories


@pytest.fixture
def run(alice):
    run = factories.run(alice, 12, name="tiles")
    factories.advance(run, factories.worker(alice, hostname="n1"), done=3, failed=2)
    return factories.advance(run, factories.worker(alice, hostname="n2"), computing=2)


def read(response, size=None):
    """The head of a map, and what its bytes mean."""
    head, _, cells = b"".join(response.streaming_content).partition(b"\n")
    told = json.loads(head)
    assert len(cells) == told["cells"]
    return told, [told["legend"][byte - maps.ZERO] for byte in cells]


STATES = ["done"] * 3 + ["failed"] * 2 + ["computing"] * 2 + ["waiting"] * 5


def test_every_task_is_a_byte(alice, run, visit, monkeypatch):
    monkeypatch.setattr(maps, "WINDOW", 5)
    told, cells = read(visit(alice).get(f"/runs/{run.uuid.hex}/map/cells"))
    assert cells == STATES
    assert (told["first"], told["last"], told["per"]) == (0, 11, 1)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("first=3&last=5", STATES[3:6]),
        ("first=9&last=99999999", STATES[9:]),
        ("first=5&last=2", STATES[5:6]),
        ("first=x&last=%00", STATES),
        ("by=blub", STATES),
        ("by=attempts", ["1"] * 7 + ["none"] * 5),
        ("by=host", ["n1"] * 5 + ["others"] * 2 + ["none"] * 5),
        ("by=duration", ["under 0.1 s"] * 5 + ["not ended"] * 7),
    ],
)
def test_a_part_of_the_run_in_other_colours(alice, run, visit, query, found):
    _told, cells = read(visit(alice).get(f"/runs/{run.uuid.hex}/map/cells?{query}"))
    if "duration" in query:  # how slow this machine is does not matter
        cells = ["under 0.1 s" if one.startswith(("under", "longer")) else one for one in cells]
    assert cells == found


def test_the_last_word_is_a_colour_too(alice, run, visit):
    _, cells = read(visit(alice).get(f"/runs/{run.uuid.hex}/map/cells?by=age"))
    assert cells[7:] == ["never"] * 5
    assert all(one.startswith("under") for one in cells[:7])


def test_a_cell_of_several_tasks_shows_what_needs_attention_most(alice, run, visit, monkeypatch):
    monkeypatch.setattr(maps, "MOST_CELLS", 5)
    for window in (50_000, 20):
        monkeypatch.setattr(maps, "WINDOW", window)
        told, cells = read(visit(alice).get(f"/runs/{run.uuid.hex}/map/cells"))
        assert told["per"] == 3
        assert cells == ["done", "failed", "computing", "waiting"]


def test_it_is_compressed_and_sent_once(alice, run, visit):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/map/cells"
    response = client.get(path, headers={"Accept-Encoding": "gzip, br"})
    assert response["Content-Encoding"] == "gzip"
    assert gzip.decompress(b"".join(response.streaming_content)).startswith(b'{"first": 0')
    again = {"If-None-Match": response["ETag"]}
    assert client.get(path, headers=again).status_code == 304
    factories.advance(run, factories.worker(alice), done=1)
    assert client.get(path, headers=again).status_code == 200


def test_what_ends_late_in_a_transaction_that_began_early_is_sent(alice, run, visit):
    client, path = visit(alice), f"/runs/{run.uuid.hex}/map/cells"
    seen = {"If-None-Match": client.get(path)["ETag"]}
    moved = Tally.objects.filter(run=run).order_by("-updated")[0].updated
    factories.advance(run, factories.worker(alice), done=1)
    Tally.objects.filter(run=run).update(updated=moved)
    assert client.get(path, headers=seen).status_code == 200


def test_an_empty_run_has_an_empty_map(alice, visit):
    run = factories.run(alice, 0)
    client, lead = visit(alice), f"/runs/{run.uuid.hex}/map"
    assert b"No tasks yet" in client.get(lead).content
    assert b"".join(client.get(lead + "/cells").streaming_content).endswith(b"\n")


@pytest.mark.parametrize("size", [20, 2000])
def test_the_map_costs_few_queries(alice, visit, size, django_assert_num_queries):
    run = factories.run(alice, size)
    factories.advance(run, factories.worker(alice), done=9, computing=1)
    client = visit(alice)
    # 1 session, 2 user, 3 run, 4 tallies, 5 in flight; by host: 6 sample
    with django_assert_num_queries(5):
        client.get(f"/runs/{run.uuid.hex}/map")
    with django_assert_num_queries(6):
        client.get(f"/runs/{run.uuid.hex}/map?by=host")
    # 1 session, 2 user, 3 run, 4 tallies, 5 the bytes
    with django_assert_num_queries(5):
        list(client.get(f"/runs/{run.uuid.hex}/map/cells").streaming_content)


def test_a_grid_is_drawn_as_one(alice, run, visit):
    run.columns = 4
    run.save()
    client = visit(alice)
    assert 'data-columns="4"' in client.get(f"/runs/{run.uuid.hex}/map").content.decode()
    assert 'data-columns="6"' in client.get(f"/runs/{run.uuid.hex}/map?columns=6").content.decode()
    assert 'data-columns="0"' in client.get(f"/runs/{run.uuid.hex}/map?columns=0").content.decode()
    told, cells = read(client.get(f"/runs/{run.uuid.hex}/map/cells?first=6&last=9&columns=4"))
    assert (told["first"], cells) == (4, STATES[4:10])  # from the beginning of the row


@pytest.mark.parametrize(
    ("columns", "least", "found"),
    [
        (0, 1, (1, 0)), (0, 3, (3, 0)), (7, 1, (1, 7)), (4000, 3, (4, 1000)), (4000, 10, (10, 400)),
        (4001, 10, (10, 0)), (90, 10, (10, 0)), (10_000, 199, (200, 50)), (10_000, 201, (201, 0)),
    ],
)  # fmt: skip
def test_a_large_grid_keeps_whole_rows_or_is_none(columns, least, found):
    assert maps.divide(columns, least) == found


@pytest.mark.parametrize(
    "states",
    ["", "D", "W", "DDWWW", "FDDCWDXDWWCW", "WWDWW", "XXXX", "DBDBWB", "CCWWWWWD", "FFDDXX"],
)
@pytest.mark.parametrize("per", [1, 3])
@pytest.mark.parametrize("part", [(0, 99), (2, 7)])
def test_reading_little_paints_the_same_as_reading_all(alice, states, per, part, monkeypatch):
    run = factories.run(alice, len(states))
    codes = {"W": 0, "C": 1, "D": 2, "F": 3, "X": 4, "B": 0}
    for number, letter in enumerate(states):
        Task.objects.filter(run=run, number=number).update(
            state=codes[letter], attempt=1, started=timezone.now(), not_before=letter == "B",
            percent=100 if letter == "D" else 7,
        )  # fmt: skip
    monkeypatch.setattr(maps, "MOST_CELLS", -(-len(states) // per) or 1)
    shown = maps.picture(run, maps.KINDS["state"], *part)
    scanned = b"".join(maps.scan(run, shown)) if states else b""
    assert b"".join(maps.paint(run, shown, Counts())) == scanned
    too_many = layers.FEW + 1
    assert b"".join(maps.paint(run, shown, Counts(failed=too_many))) == scanned
    monkeypatch.setattr(layers, "FEW", 0)
    assert b"".join(maps.paint(run, shown, Counts())) == scanned
