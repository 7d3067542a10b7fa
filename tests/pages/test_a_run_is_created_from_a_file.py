"""A new run from a file: lines, CSV or NDJSON become the inputs of its tasks, all or none."""

import io
import json
import subprocess
import sys

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection

from runs import appending, explain, lifecycle, queue, steering, uploads
from runs.errors import InvalidInput
from runs.models import Run, RunEvent, Task, TaskInput
from runs.pages import run_new
from runs.pages.input_files import LONGEST, lines_of
from runs.states import TaskState
from tests import factories
from tests.exchange.crew import wait_until
from tests.server import ROOT, database_url, environment


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
        ("tiles.csv", b"\n\ntile\nN60\n\n\nN61,2\n", "Line 7 has not as many fields"),
        ("tiles.csv", b"tile\nN60\nN\x0061\n", "Line 3 has a NUL"),
        ("tiles.txt", b"a\n\nb\nc\x00d\n", "Line 4 has a NUL"),
        ("tiles.txt", "a\nb\n".encode("utf-16-le"), "Line 1 has a NUL"),
        ("tiles.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("tiles.txt", b"\n \n", "no input in the file"),
        ("tiles.txt", b"", "empty"),
        ("tiles.txt", b"a\n\n" + b"x" * LONGEST, f"Line 3 has {LONGEST + 2} bytes"),
        ("tiles.txt", b"a\n\n" + b"x" * 300_000, "Line 3 has more than 262,144 characters"),
        ("tiles.ndjson", b"1\r\n2\r\n" + b"3" * 300_000, "Line 3 has more than 262,144 characters"),
        ("tiles.csv", b"tile\nN60," + b"x" * 300_000, "Line 2 has more than 262,144 characters"),
        ("tiles.csv", b'tile,n\nN60,1\n"' + b'\n","' * 100_000,
         "The row that goes on in line 65540 has more than 262,144 characters"),
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


@pytest.mark.parametrize(
    ("name", "content", "number"),
    [("tiles.ndjson", (b'"' + b"x" * (LONGEST - 2) + b'"\r\n') * 2, 2),
     ("tiles.txt", (b"x" * (LONGEST - 2) + b"\n") * 2, 2),
     ("tiles.csv", b"tile\n" + (b"x" * 200_000 + b"\n") * 3, 3)],
)  # fmt: skip
def test_inputs_as_long_as_an_input_may_be_are_taken(alice, visit, answer, name, content, number):
    assert upload(answer, visit(alice), name, content).status_code == 302
    assert Run.objects.get().num_tasks == number


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


def test_what_is_wrong_beside_a_file_is_said_at_its_own_field(alice, visit, answer):
    wish = {"expire_at": "9999-01-01T00:00:00Z"}
    page = text_of(upload(answer, visit(alice), "tiles.txt", b"a\n", **wish))
    assert 'id="id_expire_at_error"' in page
    assert 'id="id_inputs_error"' not in page


def test_a_file_of_more_tasks_than_a_run_may_have_is_refused_at_the_file(
    alice, visit, answer, settings
):
    settings.TASKFARM_MAX_TASKS = 2
    page = text_of(upload(answer, visit(alice), "tiles.txt", b"a\nb\nc\n"))
    assert 'id="id_inputs_error"' in page
    assert 'id="id_num_tasks_error"' not in page
    assert not Run.objects.exists()


class Endless(io.RawIOBase):
    """A file that is one line and never ends. A test that reads on gives up."""

    def __init__(self):
        self.read_bytes = 0

    def readable(self):
        return True

    def readinto(self, buffer):
        buffer[:] = b"1" * len(buffer)
        self.read_bytes += len(buffer)
        assert self.read_bytes < 16 * LONGEST
        return len(buffer)


@pytest.mark.parametrize("name", ["tiles.txt", "tiles.csv", "tiles.ndjson"])
def test_a_line_without_end_is_not_read_to_its_end(name):
    endless = Endless()
    with pytest.raises(InvalidInput, match="Line 1 has more than 262,144 characters"):
        list(lines_of(io.BufferedReader(endless), name))
    assert endless.read_bytes < 2 * LONGEST


TILES = b"".join(b"tile %d\n" % number for number in range(7))


@pytest.fixture
def halfway(monkeypatch):
    """Does something when the farm has 4 of the inputs of an upload and wants the next."""
    monkeypatch.setattr(appending, "CHUNK", 2)

    def arrange(do, has=4):
        def lines(file, name):
            for number, line in enumerate(lines_of(file, name)):
                if number == has + 1:  # one more is looked at before the run is begun
                    do(Run.objects.get())
                yield line

        monkeypatch.setattr(run_new, "lines_of", lines)

    return arrange


def history(run):
    events = RunEvent.objects.filter(run=run).order_by("id")
    return [(one.what, one.who, one.why) for one in events]


HELD = ("pause", "", "its inputs are still being uploaded")
ADDED = ("append", "alice", "")
SET_GOING = ("uploaded", "alice", "all inputs have arrived")


def test_nothing_is_handed_out_before_all_inputs_have_come(alice, visit, answer, halfway):
    worker, api, seen = factories.worker(alice), factories.caller(alice), []

    def look(run):
        assert (run.num_tasks, run.state) == (4, "paused")
        assert queue.claim(run=run, worker=worker, want=9) == []
        wish = {"want": 9, "namespace": "live"}
        exchanged = api.post(f"/api/worker/{worker.uuid.hex}/exchange", wish, format="json")
        seen.append(exchanged.json()["tasks"])

    halfway(look)
    upload(answer, visit(alice), "tiles.txt", TILES, namespace="live")
    assert seen == [[]]
    run = Run.objects.get()
    assert (run.num_tasks, run.state, run.open, run.started) == (7, "active", False, None)
    assert history(run) == [HELD, ADDED, SET_GOING]
    assert "not complete" not in text_of(visit(alice).get(f"/runs/{run.uuid.hex}/"))
    assert [one.number for one in queue.claim(run=run, worker=worker, want=9)] == list(range(7))
    factories.check_books(run)


def test_what_comes_in_one_piece_is_never_held(alice, visit, answer):
    upload(answer, visit(alice), "tiles.txt", TILES)
    run = Run.objects.get()
    assert (run.state, run.open, history(run)) == ("active", False, [ADDED])


@pytest.mark.parametrize(("wish", "stays_open"), [({}, False), ({"open": "on"}, True)])
def test_the_policy_holds_after_a_long_upload(alice, visit, answer, halfway, wish, stays_open):
    halfway(lambda run: None)
    upload(answer, visit(alice), "tiles.txt", TILES, canary_tasks="1", **wish)
    run = Run.objects.get()
    assert (run.state, run.open) == ("active", stays_open)
    assert not run.released, "the canaries come first"


@pytest.mark.parametrize("wish", [{}, {"open": "on"}])
def test_who_resumes_it_halfway_gets_the_rest_all_the_same(alice, visit, answer, halfway, wish):
    worker, client = factories.worker(alice), visit(alice)

    def resume(run):  # in another window
        path = f"/runs/{run.uuid.hex}/resume"
        assert "it has 4 tasks so far" in text_of(client.get(path))
        assert "it is resumed" not in text_of(client.get(f"/runs/{run.uuid.hex}/delete"))
        answer(client, path)
        run.refresh_from_db()
        factories.advance(run, worker, done=1, computing=1)
        assert "not complete" in text_of(client.get(f"/runs/{run.uuid.hex}/"))

    halfway(resume)
    response = upload(answer, visit(alice), "tiles.txt", TILES, **wish)
    run = Run.objects.get()
    assert response.url == f"/runs/{run.uuid.hex}/"
    assert (run.num_tasks, run.state, run.open) == (7, "active", bool(wish))
    assert Task.objects.filter(run=run, state=TaskState.DONE).count() == 1
    assert history(run)[-1] == ("uploaded", "alice", "all inputs have arrived")
    assert "not complete" not in text_of(client.get(f"/runs/{run.uuid.hex}/"))
    factories.check_books(run)


@pytest.mark.parametrize("why", ["not yet", HELD[2]])
def test_who_wants_it_paused_finds_it_paused_when_all_has_come(alice, visit, answer, halfway, why):
    client = visit(alice)
    halfway(lambda run: answer(client, f"/runs/{run.uuid.hex}/pause", why=why))
    upload(answer, visit(alice), "tiles.txt", TILES)
    run = Run.objects.get()
    assert (run.num_tasks, run.state, run.open) == (7, "paused", False)
    assert ("pause", "alice", why) in history(run)
    assert "not complete" not in text_of(client.get(f"/runs/{run.uuid.hex}/"))


def test_a_bad_line_after_many_good_ones_leaves_nothing(alice, visit, answer, halfway):
    begun = []
    halfway(begun.append)
    page = text_of(upload(answer, visit(alice), "tiles.txt", TILES + b"a\x00b\n"))
    assert begun[0].num_tasks == 4
    assert "Line 8 has a NUL" in page
    assert "is kept" not in page
    assert not Run.objects.exists()
    assert not TaskInput.objects.exists()


@pytest.mark.parametrize("has", [2, 4])
def test_tasks_of_others_in_between_are_told(alice, visit, answer, halfway, has):
    """Else the number of a task would not be that of its line."""
    halfway(lambda run: appending.append(run=run, num_tasks=1), has=has)
    page = text_of(upload(answer, visit(alice), "tiles.txt", TILES))
    assert "Somebody else added tasks to the run in the middle" in page
    assert not Run.objects.exists()


def test_who_deletes_it_halfway_ends_the_upload(alice, visit, answer, halfway):
    halfway(lambda run: lifecycle.delete_run(run=run))
    assert upload(answer, visit(alice), "tiles.txt", TILES).status_code == 404
    bad = upload(answer, visit(alice), "tiles.ndjson", b"1\n" * 5 + b"nonsense\n")
    assert "Line 6 is no JSON" in text_of(bad)
    assert not Run.objects.exists()


def test_a_bad_line_takes_nobodys_work_away(alice, visit, answer, halfway):
    worker = factories.worker(alice)

    def resume(run):
        steering.resume(run=run, who="alice")
        factories.advance(run, worker, done=2)

    halfway(resume)
    response = upload(answer, visit(alice), "tiles.txt", TILES + b"a\x00b\n")
    page = text_of(response)
    assert "Line 8 has a NUL" in page
    assert "The run is kept with the 6 tasks that have come" in page
    run = Run.objects.get()
    assert (run.state, run.open, run.num_tasks) == ("active", True, 6)
    assert Task.objects.filter(run=run, state=TaskState.DONE).count() == 2
    factories.check_books(run)


def test_who_cancels_it_halfway_ends_the_upload(alice, visit, answer, halfway):
    halfway(lambda run: steering.cancel(run=run, who="alice"))
    response = upload(answer, visit(alice), "tiles.txt", TILES)
    assert "cancelled and takes no more tasks" in text_of(response)
    run = Run.objects.get()
    assert (run.state, run.num_tasks) == ("cancelled", 4)
    factories.check_books(run)


def test_an_upload_that_breaks_halfway_leaves_nothing(alice, visit, answer, halfway):
    def fail(run):
        raise MemoryError

    halfway(fail)
    with pytest.raises(MemoryError):
        upload(answer, visit(alice), "tiles.txt", TILES)
    assert not Run.objects.exists()
    assert not TaskInput.objects.exists()


def test_an_upload_that_breaks_at_its_beginning_leaves_nothing(alice, visit, answer, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(appending, "add", fail)
    with pytest.raises(MemoryError):
        upload(answer, visit(alice), "tiles.txt", TILES)
    assert not Run.objects.exists()


UPLOAD = """
import django, sys
django.setup()
from django.contrib.auth.models import User
from runs import appending, uploads
appending.CHUNK = 2
owner = User.objects.get(username="alice")
uploads.create_run(owner=owner, who="alice", lines=sys.stdin.buffer, name="tiles")
"""


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_server_leaves_of_an_upload_says_so(alice, visit, answer):
    url = database_url(connection.settings_dict)
    process = subprocess.Popen(
        [sys.executable, "-c", UPLOAD], cwd=ROOT, env=environment(url, 0), stdin=subprocess.PIPE
    )
    try:
        process.stdin.write(b'"a"\n"b"\n"c"\n"d"\n"e"\n')
        process.stdin.flush()
        wait_until(Run.objects.filter(num_tasks=4).exists, "its second chunk")
    finally:
        process.kill()
        process.communicate()
    run, client = Run.objects.get(), visit(alice)
    assert (run.state, run.open, history(run)) == ("paused", True, [HELD, ADDED])
    listed = text_of(client.get("/runs/"))
    assert "its inputs are still being uploaded, or the upload was cut short" in listed
    page = text_of(client.get(f"/runs/{run.uuid.hex}/"))
    assert "This run is not complete." in page
    assert "<b>The farm</b> holds the run until all inputs are here" in page
    assert "The run's policy" not in page
    assert "it has 4 tasks so far" in page
    why = explain.explain(run, Task.objects.get(run=run, number=0)).reason
    assert "by its policy: its inputs are still being uploaded" in why
    answer(client, f"/runs/{run.uuid.hex}/resume")
    assert len(queue.claim(run=Run.objects.get(), worker=factories.worker(alice), want=9)) == 4
    page = text_of(client.get(f"/runs/{run.uuid.hex}/"))
    assert "This run is not complete." in page, "until somebody says that nothing more comes"
    steering.change_policy(run=run, who="alice", open=False)
    assert "not complete" not in text_of(client.get(f"/runs/{run.uuid.hex}/"))
    factories.check_books(run)


def end_upload(client, run):
    """Press the button; the page that follows."""
    client.get(f"/runs/{run.uuid.hex}/")
    token = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    return text_of(client.post(f"/runs/{run.uuid.hex}/uploaded", token, follow=True))


@pytest.mark.parametrize("resumed", [False, True])
def test_the_page_of_an_incomplete_run_offers_to_make_do_with_what_has_come(
    alice, visit, answer, resumed
):
    run, client = uploads.begin(owner=alice, name="cut short"), visit(alice)
    list(appending.chunks(run, iter(['"a"', '"b"']), "alice"))
    needed = text_of(client.get("/runs/"))
    assert "the upload was cut short" in needed
    assert "See what to do" in needed
    if resumed:
        steering.resume(run=run, who="alice")
    asked = text_of(client.get(f"/runs/{run.uuid.hex}/"))
    assert ("Close it</button>" if resumed else "Work on these alone</button>") in asked
    told = end_upload(client, run)
    assert "Closed: it has 2 tasks, and takes no more." in told
    assert "not complete" not in told
    run.refresh_from_db()
    assert (run.state, run.open) == ("active", False)
    assert history(run)[-1][1:] == ("alice", "without the inputs that have not come")
    factories.check_books(run)


def test_a_run_that_was_not_uploaded_has_no_upload_to_end(alice, visit):
    run = factories.run(alice, 3, open=True)
    told = end_upload(visit(alice), run)
    assert "not begun as one whose tasks are to come" in told
    run.refresh_from_db()
    assert run.open
