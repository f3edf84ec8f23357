"""Settings from the environment: what is understood, what is refused with a sentence, what is made once."""

import errno
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from studio import environment as env
from studio.embedded import places


def test_a_database_url_is_taken_apart() -> None:
    found = env.database("postgresql://ana:p%40ss@db.example:6432/studio?sslmode=require")
    assert found == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "studio",
        "USER": "ana",
        "PASSWORD": "p@ss",
        "HOST": "db.example",
        "PORT": "6432",
        "OPTIONS": {"sslmode": "require"},
    }


def test_the_embedded_database_is_reached_by_its_socket(tmp_path: Path) -> None:
    found = env.database(places.database_url(tmp_path))
    assert found["HOST"] == str(places.socket_folder(tmp_path))
    assert (found["PORT"], found["USER"], found["PASSWORD"], found["OPTIONS"]) == ("5432", "aquarius", "", {})


@pytest.mark.parametrize("url", ["sqlite:///db", "postgresql://host", "nonsense"])
def test_what_is_no_postgresql_is_refused(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_URL"):
        env.database(url)


def test_words_that_are_no_flag_or_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AQ_HTTPS", "maybe")
    with pytest.raises(ImproperlyConfigured, match="AQ_HTTPS"):
        env.flag("AQ_HTTPS")
    monkeypatch.setenv("AQ_LEASE_SECONDS", "30 s")
    with pytest.raises(ImproperlyConfigured, match="AQ_LEASE_SECONDS"):
        env.number("AQ_LEASE_SECONDS", 30)


@pytest.mark.parametrize(
    ("given", "mesh"), [("", {}), ("cfg=2", {"cfg": 2}), ("cfg=2, ulysses=4", {"cfg": 2, "ulysses": 4})]
)
def test_a_mesh_is_ranks_on_axes(monkeypatch: pytest.MonkeyPatch, given: str, mesh: dict[str, int]) -> None:
    monkeypatch.setenv("AQ_ENGINE_MESH", given)
    assert env.mesh("AQ_ENGINE_MESH") == mesh


@pytest.mark.parametrize("given", ["2", "cfg=0", "rows=2", "cfg=two", "cfg=2;ring=2", "cfg=3", "ring=2,ring=4"])
def test_what_is_no_mesh_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("AQ_ENGINE_MESH", given)
    with pytest.raises(ImproperlyConfigured, match="AQ_ENGINE_MESH"):
        env.mesh("AQ_ENGINE_MESH")


@pytest.mark.parametrize(("given", "share"), [("", 0.0), ("0", 0.0), ("0.05", 0.05), (".5", 0.5), ("1", 1.0)])
def test_a_share_is_a_number_up_to_one(monkeypatch: pytest.MonkeyPatch, given: str, share: float) -> None:
    monkeypatch.setenv("AQ_ENGINE_CACHE", given)
    assert env.share("AQ_ENGINE_CACHE") == share


@pytest.mark.parametrize("given", ["5 %", "1.5", "-0.1", "nan", "1e-2"])
def test_what_is_no_share_is_refused(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("AQ_ENGINE_CACHE", given)
    with pytest.raises(ImproperlyConfigured, match="AQ_ENGINE_CACHE"):
        env.share("AQ_ENGINE_CACHE")


def test_a_studio_on_its_own_database_needs_a_secret_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AQ_SECRET_KEY", raising=False)
    with pytest.raises(ImproperlyConfigured, match="AQ_SECRET_KEY"):
        env.secret_key(tmp_path, embedded=False)


def test_a_key_that_belongs_to_another_login_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AQ_SECRET_KEY", raising=False)
    env.secret_key(tmp_path, embedded=True)

    def not_ours(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", not_ours)
    with pytest.raises(ImproperlyConfigured, match=r"cannot be used: Permission denied \(.*secret_key\)\. Start"):
        env.secret_key(tmp_path, embedded=True)


def test_a_wrong_setting_is_told_without_a_traceback() -> None:
    root = Path(__file__).parents[2]
    clean = {"PYTHONPATH": str(root), "AQ_SECRET_KEY": "x", "AQ_MAX_UPLOAD_BYTES": "64MB"}
    command = [sys.executable, str(root / "manage.py"), "serve"]
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    assert (done.returncode, done.stderr) == (1, "AQ_MAX_UPLOAD_BYTES='64MB' should be a whole number.\n")


def test_processes_that_start_at_once_agree_on_one_private_key(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from studio.environment import secret_key\n"
    code += "print(secret_key(Path(sys.argv[1]), embedded=True))"
    command = [sys.executable, "-c", code, str(tmp_path / "var")]
    clean = {"PYTHONPATH": str(Path(__file__).parents[2])}
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=clean) for _ in range(6)]
    keys = {process.communicate()[0] for process in started}
    assert len(keys) == 1
    assert len(keys.pop()) > 50
    assert stat.S_IMODE((tmp_path / "var" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "var").iterdir()] == ["secret_key"]


@pytest.mark.parametrize(
    ("given", "https", "understood"),
    [
        ("studio.example", True, ["https://studio.example"]),
        ("studio.example", False, ["https://studio.example", "http://studio.example"]),
        ("https://a.example:8443, *.b.example", True, ["https://a.example:8443", "https://*.b.example"]),
        ("http://10.0.0.5:8000", False, ["http://10.0.0.5:8000"]),
        ("", False, []),
    ],
)
def test_origins_may_be_bare_names(
    monkeypatch: pytest.MonkeyPatch, given: str, https: bool, understood: list[str]
) -> None:
    monkeypatch.setenv("AQ_TRUSTED_ORIGINS", given)
    assert env.origins("AQ_TRUSTED_ORIGINS", https=https) == understood


@pytest.mark.parametrize("given", ["https://", "ftp://a.example", "https://a.example/path", "a b", "a.example;b", "*"])
def test_what_is_no_origin_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("AQ_TRUSTED_ORIGINS", given)
    with pytest.raises(ImproperlyConfigured, match="AQ_TRUSTED_ORIGINS"):
        env.origins("AQ_TRUSTED_ORIGINS", https=True)


def test_django_takes_the_origins_that_were_made_from_names() -> None:
    """The control: the names themselves, as they were handed on before, are an error of Django's checks."""
    code = "import django; from django.conf import settings; from django.core.checks import run_checks\n"
    code += "django.setup(); print([found.id for found in run_checks()], settings.CSRF_TRUSTED_ORIGINS)"
    clean = {"DJANGO_SETTINGS_MODULE": "studio.settings", "AQ_SECRET_KEY": "x", "AQ_TRUSTED_ORIGINS": "a.example"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean)
    assert done.stdout == "[] ['https://a.example', 'http://a.example']\n", done.stderr


def test_two_studios_on_one_machine_have_cookies_of_their_own(tmp_path: Path) -> None:
    """Behind a name of its own, with a database of its own, it needs no mark."""
    one, other = tmp_path / "one", tmp_path / "other"
    alone = "postgresql://ana@db.example/studio"
    names = [session_cookie(one), session_cookie(one), session_cookie(other), session_cookie(other, DATABASE_URL=alone)]
    assert (names[0] == names[1], names[0] == names[2], names[3]) == (True, False, "aq_session")
    assert all(name.startswith("aq_session_") for name in names[:3])


def session_cookie(data_dir: Path, **more: str) -> str:
    code = "from django.conf import settings; print(settings.SESSION_COOKIE_NAME)"
    clean = {"DJANGO_SETTINGS_MODULE": "studio.settings", "AQ_SECRET_KEY": "x", "AQ_DATA_DIR": str(data_dir), **more}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=clean)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
