"""A new run from a file: lines, CSV or NDJSON become the inputs of its tasks, all or none."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from runs import appending
from runs.models import Run, TaskInput
from tests import factories


def text_of(response):
    return " ".join(response.content.decode().split())


def upload(answer, client, name, content, **fields):
    file = SimpleUploadedFile(name, content)
    return answer(client, "/runs/new", inputs=file, name="tiles", **fields)


@pytest.mark.parametrize(
    ("name", "content", "values"),
    [
        ("tiles.txt", b"a.nc\n\n  b.nc\r\nc d.nc", ["a.nc", "b.nc", "c d.nc"]),
        ("tiles", "\ufeffé.nc\n".encode(), ["é.nc"]),
        ("TILES.CSV", b'tile,year\nN60,2026\n"a, b",2025\n',
         [{"tile": "N60", "year": "2026"}, {"tile": "a, b", "year": "2025"}]),
        ("tiles.ndjson", b'{"tile": 1}\n[2]\n"3"\n', [{"tile": 1}, [2], "3"]),
    ],
)  # fmt: skip
def test_every_input_is_a_task(alice, visit, answer, monkeypatch, name, content, values):
    monkeypatch.setattr(appending, "CHUNK", 2)
    client = visit(alice)
    response = upload(answer, client, name, content)
    run = Run.objects.get()
    assert response.url == f"/runs/{run.uuid.hex}/"
    kept = TaskInput.objects.order_by("number").values_list("value", flat=True)
    assert [json.loads(one) for one in kept] == values
    page = text_of(client.get(response.url))
    assert f"with {len(values)} task" in page
    assert "farm.run(&quot;" in page or 'farm.run("' in page
    assert "sbatch --job-name=taskfarm --array=" in page
    factories.check_books(run)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("tiles.ndjson", b'{"tile": 1}\n{"tile": 2}\nnonsense\n', "Line 3 is no JSON"),
        ("tiles.csv", b"tile,year\nN60,2026\nN61\n", "Line 3 has not as many fields"),
        ("tiles.csv", b'tile\n"N60\n', "Line 2 is no CSV"),
        ("tiles.csv", b"tile,year,tile\nN60,2026,N61\n", "names the column &#x27;tile&#x27; more"),
        ("tiles.csv", b"tile\nN60\nN\x0061\n", "Line 3 has a NUL"),
        ("tiles.txt", b"a\n\nb\nc\x00d\n", "Line 4 has a NUL"),
        ("tiles.txt", "a\nb\n".encode("utf-16-le"), "Line 1 has a NUL"),
        ("tiles.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("tiles.txt", b"\n \n", "no input in the file"),
        ("tiles.txt", b"", "empty"),
        ("tiles.txt", b"x" * 300_000, "has 300"),
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_leaves_nothing(
    alice, visit, answer, monkeypatch, name, content, reason
):
    monkeypatch.setattr(appending, "CHUNK", 2)
    response = upload(answer, visit(alice), name, content)
    assert response.status_code == 200
    assert reason in text_of(response)
    assert not Run.objects.exists()
    assert not TaskInput.objects.exists()


def test_a_number_and_a_file_are_too_much(alice, visit, answer):
    response = upload(answer, visit(alice), "tiles.txt", b"a\n", num_tasks="3")
    assert "not both" in text_of(response)
    assert not Run.objects.exists()


def test_the_policy_is_taken_and_what_is_left_empty_has_its_default(alice, visit, answer):
    answer(
        visit(alice), "/runs/new", num_tasks="3", error_attempts="4", backoff="", canary_tasks="1",
        open="on",
    )  # fmt: skip
    run = Run.objects.get()
    assert (run.error_attempts, run.backoff, run.canary_tasks, run.open) == (4, 10, 1, True)
    assert not run.released


def test_a_policy_out_of_range_is_refused_at_its_field(alice, visit, answer):
    response = answer(visit(alice), "/runs/new", num_tasks="3", error_attempts="0")
    assert 'id="id_error_attempts_error"' in text_of(response)
    assert not Run.objects.exists()
