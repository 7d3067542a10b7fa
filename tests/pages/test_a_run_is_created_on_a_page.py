"""The form for a new run: what is refused stands beside its field, what was typed stays."""

import pytest

from runs import appending
from runs.models import Run
from tests import factories

GIVEN = {"name": "my tiles", "namespace": "cryosat", "description": "All of them."}


def test_it_ends_on_the_run_with_the_lines_that_start_workers(alice, visit, answer):
    client = visit(alice)
    response = answer(client, "/runs/new", num_tasks="12", **GIVEN)
    run = Run.objects.get()
    assert response.url == f"/runs/{run.uuid.hex}/"
    assert (run.owner, run.num_tasks, run.name, run.namespace) == (alice, 12, "my tiles", "cryosat")
    page = client.get(response.url).content.decode()
    assert "Created my tiles with 12 tasks." in page
    assert f'farm.run("{run.uuid.hex}").work(work)' in page
    assert 'connect("http://testserver/api/", "alice", ' in page
    assert f"manageTF -b http://testserver/api/ -u alice {run.uuid.hex} --info" in page


def test_a_run_of_commands_tells_how_commands_are_worked_on(alice, visit):
    plain, inputs, template = (factories.run(alice, 2) for _ in range(3))
    appending.append(run=inputs, values=["true"], who="alice")
    Run.objects.filter(pk=template.pk).update(template="prog {task}")
    client, work = visit(alice), "taskfarm work {} --proc 8"
    for run, commands, python in ((plain, 0, 1), (inputs, 1, 1), (template, 1, 0)):
        page = client.get(f"/runs/{run.uuid.hex}/").content.decode()
        assert page.count(work.format(run.uuid.hex)) == commands
        assert page.count(f'farm.run("{run.uuid.hex}")') == python


@pytest.mark.parametrize("size", ["", "-1", "1.5", "ten", "9" * 13])
def test_a_size_that_no_run_has_is_refused(alice, visit, answer, size):
    response = answer(visit(alice), "/runs/new", num_tasks=size, **GIVEN)
    page = response.content.decode()
    assert response.status_code == 200
    assert 'aria-invalid="true"' in page
    assert 'id="id_num_tasks_error"' in page
    assert 'value="my tiles"' in page
    assert "All of them." in page
    assert not Run.objects.exists()


def test_only_own_groups_are_offered_and_taken(alice, bob, carol, visit, answer):
    group = alice.groups.get()
    assert "glaciers" not in visit(bob).get("/runs/new").content.decode()
    assert answer(visit(bob), "/runs/new", num_tasks="1", group=group.pk).status_code == 200
    assert not Run.objects.exists()
    answer(visit(alice), "/runs/new", num_tasks="1", group=group.pk)
    assert Run.objects.get().group == group


def test_a_first_visit_teaches_the_next_step(alice, visit):
    page = visit(alice).get("/runs/").content.decode()
    assert "Your first run" in page
    assert "http://testserver/api/run" in page
    factories.run(alice, 1)
    assert "Your first run" not in visit(alice).get("/runs/").content.decode()


def test_names_are_text_not_markup(alice, visit):
    run = factories.run(alice, 1, name="<script>x</script>", namespace='"><u>', description="<i>")
    for path in ("/runs/", f"/runs/{run.uuid.hex}/", f"/runs/{run.uuid.hex}/delete"):
        page = visit(alice).get(path).content.decode()
        assert "<script>x" not in page
        assert '"><u>' not in page


def test_a_run_of_nothing_is_refused_unless_it_takes_more(alice, visit, answer):
    client = visit(alice)
    response = answer(client, "/runs/new", num_tasks="0", name="slip")
    assert "A run of 0 tasks is over at once" in response.content.decode()
    assert not Run.objects.exists()
    assert answer(client, "/runs/new", num_tasks="0", name="grows", open="on").status_code == 302
    assert Run.objects.get().open
