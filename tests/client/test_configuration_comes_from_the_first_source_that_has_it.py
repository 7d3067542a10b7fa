"""Arguments before environment before file; credentials never mixed from two sources."""

from __future__ import annotations

from pathlib import Path

import pytest
from taskfarm_stub import Stub
from taskfarm_worker import ConfigurationError, TaskFarm, TaskFarmWorker, tfRuns
from taskfarm_worker._config import DEFAULT_URL, Settings, resolve

URL = "http://localhost:5000/api/"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    text = "[taskfarm]\nurl = http://file/\nuser = fay\npassword = file%pw\ntoken = ftok\n"
    return write(tmp_path / ".config/taskfarm/config.ini", text)


def found(settings: Settings) -> tuple[str | None, ...]:
    who = settings.credentials
    assert who is not None
    return settings.url, who.user, who.password, who.token


def test_nothing_configured_is_the_documented_default_without_credentials() -> None:
    settings = resolve(DEFAULT_URL)
    assert settings.url == URL
    assert settings.credentials is None
    with pytest.raises(ConfigurationError, match=r"TASKFARM_USER.*config\.ini"):
        tfRuns(None, None)


@pytest.mark.usefixtures("file")
def test_the_file_answers_when_nothing_else_does() -> None:
    assert found(resolve()) == ("http://file/api/", "fay", "file%pw", "ftok")


@pytest.mark.usefixtures("file")
def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFARM_URL", "http://env")
    monkeypatch.setenv("TASKFARM_USER", "eve")
    monkeypatch.setenv("TASKFARM_PASSWORD", "envpw")
    assert found(resolve()) == ("http://env/api/", "eve", "envpw", None)


@pytest.mark.usefixtures("file")
def test_arguments_go_before_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {"URL": "http://env", "USER": "eve", "TOKEN": "etok"}.items():
        monkeypatch.setenv(f"TASKFARM_{key}", value)
    assert found(resolve("http://arg", "ann", "argpw")) == ("http://arg/api/", "ann", "argpw", None)


def test_the_default_of_url_base_does_not_hide_the_environment(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFARM_URL", stub.url)
    assert tfRuns("user", "secret") == []
    farm = TaskFarm("user", "secret", numTasks=2)
    assert TaskFarmWorker("user", "secret", farm.uuid).url("x") == stub.url + "x"


def test_the_default_address_given_explicitly_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TASKFARM_URL", "http://env")
    assert resolve("http://localhost:5000/api/", "ann", "pw").url == URL


def test_everything_from_the_environment_works(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFARM_URL", stub.url)
    monkeypatch.setenv("TASKFARM_USER", "user")
    monkeypatch.setenv("TASKFARM_PASSWORD", "secret")
    assert TaskFarm(None, None, numTasks=2).numWaiting == 2


def test_a_token_from_the_environment_works_alone(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TASKFARM_TOKEN", "given-token")
    assert tfRuns(None, None, stub.url) == []
    assert stub.count("GET", "token") == 0


@pytest.mark.usefixtures("file")
def test_a_user_is_never_given_the_password_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(user="ann").credentials is None
    assert resolve(user="ann").user == "ann"
    monkeypatch.setenv("TASKFARM_USER", "eve")
    monkeypatch.setenv("TASKFARM_PASSWORD", "envpw")
    assert found(resolve(user="fay"))[1:] == ("fay", "file%pw", "ftok")


@pytest.mark.usefixtures("file")
def test_a_password_argument_goes_with_a_configured_user() -> None:
    assert found(resolve(password="argpw"))[1:] == ("fay", "argpw", None)


@pytest.mark.usefixtures("file")
def test_a_token_is_never_renewed_with_the_password_of_another_source() -> None:
    assert found(resolve(token="argtok"))[1:] == ("fay", None, "argtok")


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    for key in ("URL", "USER", "PASSWORD", "TOKEN", "CONFIG", "PATIENCE"):
        monkeypatch.setenv(f"TASKFARM_{key}", "")
    assert found(resolve())[0] == "http://file/api/"
    assert file.exists()


def test_taskfarm_config_names_another_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: Path
) -> None:
    other = write(tmp_path / "other.ini", "[taskfarm]\nurl = http://other\ntoken = otok\n")
    monkeypatch.setenv("TASKFARM_CONFIG", "~/other.ini")
    assert found(resolve()) == ("http://other/api/", None, None, "otok")
    assert other != file


def test_xdg_config_home_moves_the_default_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write(tmp_path / "xdg/taskfarm/config.ini", "[taskfarm]\ntoken = xtok\n")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert found(resolve())[3] == "xtok"


@pytest.mark.usefixtures("file")
def test_a_relative_xdg_config_home_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "xdg")
    assert found(resolve())[3] == "ftok"


@pytest.mark.usefixtures("file")
def test_dev_null_means_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFARM_CONFIG", "/dev/null")
    assert resolve().credentials is None


def test_a_file_that_was_asked_for_has_to_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKFARM_CONFIG", "/does/not/exist.ini")
    with pytest.raises(ConfigurationError, match=r"TASKFARM_CONFIG names /does/not/exist\.ini"):
        resolve()


def test_an_unknown_key_is_warned_about(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(file, "[taskfarm]\nusername = fay\ntoken = ftok\n")
    assert found(resolve())[1] is None
    assert "unknown key 'username'; known are url, user, password, token." in caplog.text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("password = hush\n", r"not a valid INI file \(line 1\)"),
        ("[taskfarm]\nhush\n", "not a valid INI file"),
        ("[taskfarm]\nuser = a\nuser = hush\n", "not a valid INI file"),
        ("[other]\npassword = hush\n", r"no section \[taskfarm\]"),
    ],
)
def test_a_broken_file_is_refused_without_quoting_it(file: Path, text: str, complaint: str) -> None:
    write(file, text)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        resolve()
    assert "hush" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_token_in_two_lines_is_refused_without_quoting_it(file: Path, stub: Stub) -> None:
    write(file, "[taskfarm]\ntoken = hush\n  hush\n")
    with pytest.raises(ConfigurationError, match="as one word") as caught:
        tfRuns(None, None, stub.url)
    assert "hush" not in str(caught.value)
    assert not stub.calls


def test_passwords_do_not_show_in_representations(file: Path) -> None:
    assert file.exists()
    assert "file%pw" not in repr(resolve())
    assert "ftok" not in repr(resolve())
