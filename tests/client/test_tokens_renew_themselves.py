"""A token that ends is replaced with the password, once, and the call is made again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from stub_faults import answer
from taskfarm_stub import Stub
from taskfarm_worker import AuthenticationError, TaskFarm, TaskFarmWorker, tfRuns
from taskfarm_worker._session import Call

EXPIRED = answer(401, {"detail": "Token expired.", "code": "token_expired"})


def test_one_token_serves_many_calls(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    farm.restart()
    assert farm.numDone == 0
    assert stub.count("GET", "token") == 1


def test_an_ended_token_is_replaced_and_the_call_repeated(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    old = farm.token_auth
    stub.tokens.clear()
    farm.setTaskInfo(0, "percentCompleted", 10)
    assert stub.runs[farm.uuid].percent[0] == 10
    assert (stub.count("GET", "token"), stub.count("PUT", "tasks/0")) == (2, 2)
    assert farm.token_auth != old


def test_a_claim_is_repeated_too_since_a_refused_one_did_nothing(stub: Stub) -> None:
    worker = TaskFarmWorker("user", "secret", stub.add_run(2).uuid, url_base=stub.url)
    stub.tokens.clear()
    assert worker.task == 0
    assert stub.runs[worker.uuid].status == ["computing", "waiting"]


def test_a_new_token_that_is_refused_ends_it(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    stub.fault("GET", farm.uuid, EXPIRED, EXPIRED)
    with pytest.raises(AuthenticationError, match="Even a new token of user 'user' is refused"):
        farm.info("")
    assert stub.count("GET", farm.uuid) == 2


def test_a_password_changed_meanwhile_is_told(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=3, url_base=stub.url)
    stub.tokens.clear()
    stub.users["user"] = "another"
    with pytest.raises(AuthenticationError, match="password of user 'user' comes from the arg"):
        farm.info("")


def test_a_wrong_password_is_told_without_quoting_it(stub: Stub) -> None:
    with pytest.raises(AuthenticationError, match=r"Wrong user or password") as caught:
        tfRuns("user", "hunter2", stub.url)
    assert caught.value.status == 401
    assert "hunter2" not in str(caught.value)


def test_a_token_alone_needs_no_password(stub: Stub) -> None:
    stub.add_run(1)
    assert len(tfRuns(None, None, stub.url, token="given-token\n")) == 1
    assert stub.count("GET", "token") == 0


def test_a_token_alone_cannot_be_renewed(stub: Stub) -> None:
    farm = TaskFarm(None, None, numTasks=1, url_base=stub.url, token="given-token")
    stub.tokens.clear()
    with pytest.raises(AuthenticationError, match=r"token from the arguments has ended.*password"):
        farm.info("")


def test_a_token_beside_a_password_is_used_first_and_renewed_later(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=1, url_base=stub.url, token="given-token")
    assert stub.count("GET", "token") == 0
    stub.tokens.clear()
    assert farm.numDone == 0
    assert stub.count("GET", "token") == 1


def test_passwords_may_hold_any_letter(stub: Stub) -> None:
    stub.users["jörg"] = "pâss:wörd €"
    assert tfRuns("jörg", "pâss:wörd €", stub.url) == []


def test_netrc_does_not_override_the_token(
    stub: Stub, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"  # type: ignore[operator]
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert tfRuns("user", "secret", stub.url) == []


def test_threads_that_meet_an_ended_token_fetch_one_new_token(stub: Stub) -> None:
    farm = TaskFarm("user", "secret", numTasks=8, url_base=stub.url)
    spent = str(farm.token_auth.username)
    stub.tokens.clear()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: farm._server._renew(spent=spent), range(8)))
    assert stub.count("GET", "token") == 2
    assert farm._server.call(Call("GET", "runs")).status_code == 200
