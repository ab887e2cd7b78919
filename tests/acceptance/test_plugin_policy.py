"""Only plugins that the policy admits are imported: their files are compared with RECORD and with what was signed."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest
from aicflow.cli.program import run_program
from aicflow.host.datadir import DataDir
from aicflow.host.plugins import PluginInfo, load_plugins
from aicflow.host.provenance import PluginPolicy
from aicflow.host.settings import Settings
from aicflow.host.signatures import embed, new_key, sign, wheel_contents
from aicflow.kernel.errors import AICFlowError

from tests.support.wheels import PLUGIN, install, make_wheel, record_line


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataDir:
    monkeypatch.setenv("AICFLOW_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "pycache_prefix", None)
    return DataDir(tmp_path / "data")


@pytest.fixture
def key(tmp_path: Path) -> tuple[Path, str]:
    private, public = new_key()
    (tmp_path / "signer.pem").write_text(private)
    return tmp_path / "signer.pem", public


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "site").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return tmp_path / "site"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return make_wheel(tmp_path / "dist", {"hello/__init__.py": PLUGIN, "hello/words.py": "WORD = 'hello'\n"})


def load(
    data: DataDir, site: Path, kind: str = "trusted", *, listed: tuple[str, ...] = (), key: str = ""
) -> PluginInfo:
    """The one plugin of the site, after the start of a process."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "hello"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    (site / "imported").unlink(missing_ok=True)
    entries = [entry for dist in distributions(path=[str(site)]) for entry in dist.entry_points]
    policy = PluginPolicy.make(kind, listed, (key,) if key else (), data.path)
    [info] = load_plugins([], core_version="0.1.0", found=entries, policy=policy).infos
    assert (site / "imported").exists() == (info.status == "loaded"), "imported although refused, or not at all"
    return info


def code(info: PluginInfo) -> str:
    assert info.status == "refused"
    return info.problems[0][0]


def test_a_signed_plugin_is_loaded_while_its_key_is_trusted(
    data: DataDir, site: Path, wheel: Path, key: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    embed(wheel, sign(wheel_contents(wheel), key[0]))
    install(wheel, site)

    assert code(load(data, site)) == "unknown-key"
    assert run_program(["plugins", "trust", key[1], "--name", "Our builds"]) == 0
    info = load(data, site)
    assert info.provenance is not None
    assert info.provenance.to_dict() == {
        "installer": "pip", "editable": False, "hashes": "intact", "signature": "trusted", "key": key[1],
    }  # fmt: skip
    assert run_program(["plugins", "verify", "hello"]) == 0
    assert run_program(["plugins", "trust", key[1], "--remove"]) == 0
    assert code(load(data, site)) == "unknown-key"
    assert run_program(["plugins", "verify", "hello"]) == 1
    assert "unknown-key" in capsys.readouterr().out
    load(data, site, key=key[1])  # by the setting


def test_a_signature_in_the_data_folder_counts_too(
    data: DataDir, site: Path, wheel: Path, key: tuple[Path, str]
) -> None:
    install(wheel, site)
    assert code(load(data, site, key=key[1])) == "not-signed"
    data.prepare()
    data.signatures_dir.mkdir()
    (data.signatures_dir / "hello-1.0.sig").write_text(sign(wheel_contents(wheel), key[0]))
    assert load(data, site, key=key[1]).status == "loaded"


def change(site: Path, info: Path) -> None:
    (site / "hello/words.py").write_text("WORD = 'harm'\n")


def change_with_record(site: Path, info: Path) -> None:
    old = record_line("hello/words.py", b"WORD = 'hello'\n")
    change(site, info)
    record = (info / "RECORD").read_text()
    assert old in record
    (info / "RECORD").write_text(record.replace(old, record_line("hello/words.py", b"WORD = 'harm'\n")))


def add(site: Path, info: Path) -> None:
    (site / "hello/more.py").write_text("")


def add_with_record(site: Path, info: Path) -> None:
    add(site, info)
    with (info / "RECORD").open("a") as record:
        record.write(record_line("hello/more.py", b""))


def remove(site: Path, info: Path) -> None:
    (site / "hello/words.py").unlink()


def unhash(site: Path, info: Path) -> None:
    record = (info / "RECORD").read_text().splitlines()
    (info / "RECORD").write_text("\n".join("hello/words.py,," if "words" in line else line for line in record) + "\n")


def weaken(site: Path, info: Path) -> None:
    record = (info / "RECORD").read_text().splitlines()
    lines = ("hello/words.py,md5=XUFAKrxLKna5cZ2REBfFkg,5" if "words" in line else line for line in record)
    (info / "RECORD").write_text("\n".join(lines) + "\n")


def forget(site: Path, info: Path) -> None:
    (info / "RECORD").unlink()


def start_code(site: Path, info: Path) -> None:
    (site / "later.pth").write_text("import os\n")


def own_start_code(site: Path, info: Path) -> None:
    start_code(site, info)
    with (info / "RECORD").open("a") as record:
        record.write(record_line("later.pth", b"import os\n"))


def shadow(site: Path, info: Path) -> None:
    other = site.parent / "other"
    (other / "hello").mkdir(parents=True)
    (other / "hello/__init__.py").write_text(PLUGIN)
    sys.path.insert(0, str(other))  # undone with the site's own entry


def lead_elsewhere(site: Path, info: Path) -> None:
    old = (info / "entry_points.txt").read_bytes()
    (info / "entry_points.txt").write_text("[aicflow]\nhello = colorsys\n")
    record = (info / "RECORD").read_text()
    path = f"{info.name}/entry_points.txt"
    new = record_line(path, (info / "entry_points.txt").read_bytes())
    (info / "RECORD").write_text(record.replace(record_line(path, old), new))


def link(site: Path, info: Path) -> None:
    (site.parent / "outside").mkdir()
    (site / "hello/inner").symlink_to(site.parent / "outside")


def edit(site: Path, info: Path) -> None:
    (info / "direct_url.json").write_text('{"url": "file:///src", "dir_info": {"editable": true}}')


@pytest.mark.parametrize(
    ("harm", "listed", "trusted"),
    [
        (change, "changed-files", "changed-files"),
        (change_with_record, None, "bad-signature"),
        (add, "changed-files", "changed-files"),
        (add_with_record, None, "bad-signature"),
        (remove, "changed-files", "changed-files"),
        (unhash, "changed-files", "changed-files"),
        (weaken, "changed-files", "changed-files"),
        (forget, "changed-files", "changed-files"),
        (start_code, "changed-files", "changed-files"),
        (own_start_code, "changed-files", "changed-files"),
        (shadow, "changed-files", "changed-files"),
        (lead_elsewhere, "changed-files", "changed-files"),
        (link, "changed-files", "changed-files"),
        (edit, "editable", "editable"),
    ],
)
def test_what_was_changed_after_the_installation_is_refused(
    data: DataDir, site: Path, wheel: Path, key: tuple[Path, str],
    harm: Callable[[Path, Path], None], listed: str | None, trusted: str,
) -> None:  # fmt: skip
    """Who rewrites RECORD too is seen by the signature only."""
    embed(wheel, sign(wheel_contents(wheel), key[0]))
    info = install(wheel, site)
    assert load(data, site, key=key[1]).status == "loaded"
    harm(site, info)
    under_list = load(data, site, "listed", listed=("hello",))
    assert under_list.status == "loaded" if listed is None else code(under_list) == listed
    assert code(load(data, site, key=key[1])) == trusted


def test_compiled_modules_beside_the_sources_are_not_read(
    data: DataDir, site: Path, wheel: Path, key: tuple[Path, str]
) -> None:
    """They have no hash: one with other code under the right date would be run in silence."""
    embed(wheel, sign(wheel_contents(wheel), key[0]))
    install(wheel, site)
    source = site / "hello/words.py"
    stat = source.stat()
    source.write_text("WORD = 'harm.'\n")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    subprocess.run([sys.executable, "-m", "py_compile", str(source)], check=True)
    source.write_text("WORD = 'hello'\n")
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load(data, site, "any").status == "loaded"
    assert importlib.import_module("hello.words").WORD == "harm."
    assert load(data, site, key=key[1]).status == "loaded"
    assert importlib.import_module("hello.words").WORD == "hello"
    assert sys.pycache_prefix == str(data.path / "pycache")


def test_listed_distributions_by_name_and_version(data: DataDir, site: Path, wheel: Path) -> None:
    install(wheel, site)
    assert code(load(data, site, "listed")) == "not-listed"
    assert code(load(data, site, "listed", listed=("hello==2.0", "other"))) == "not-listed"
    assert load(data, site, "listed", listed=("Hello>=1.0",)).status == "loaded"


def test_a_real_installation_by_pip(data: DataDir, tmp_path: Path, wheel: Path, key: tuple[Path, str]) -> None:
    """Signed by the command, installed by pip, listed by a process of its own with its provenance."""
    assert run_program(["plugins", "sign", str(wheel), "--key", str(key[0]), "--embed"]) == 0
    target = tmp_path / "pip"
    arguments = ["-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run([sys.executable, *arguments], check=True)
    assert load(data, target, key=key[1]).status == "refused"  # it is not on the path: other code would run

    environment = {
        **os.environ, "PYTHONPATH": str(target), "AICFLOW_PLUGINS_POLICY": "trusted", "AICFLOW_PLUGINS_KEYS": key[1],
    }  # fmt: skip
    command = [sys.executable, "-m", "aicflow.cli", "plugins", "list"]
    out = subprocess.run(command, env=environment, capture_output=True, text=True).stdout
    hello = next(line for line in out.splitlines() if line.startswith("hello "))
    assert hello.split() == ["hello", "1.0", "loaded", "intact,", "signed", "hello.say"]
    assert "http: editable: " in out


def test_wheels_that_are_not_what_they_say_are_not_signed(
    tmp_path: Path, wheel: Path, key: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("hello/more.py", "")
    assert run_program(["plugins", "sign", str(wheel), "--key", str(key[0])]) == 2
    assert "hello/more.py, which is not in its RECORD" in capsys.readouterr().err
    for path in ("../up.py", "/abs.py", "hello-1.0.data/scripts/run"):
        with pytest.raises(AICFlowError):
            wheel_contents(make_wheel(tmp_path / "bad", {path: ""}))
    (tmp_path / "no-1.whl").write_text("no")
    with pytest.raises(AICFlowError, match="not a wheel"):
        wheel_contents(tmp_path / "no-1.whl")


def test_a_wheel_is_verified_with_its_detached_signature(
    data: DataDir, tmp_path: Path, wheel: Path, key: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program(["plugins", "verify", str(wheel)]) == 1
    assert run_program(["plugins", "sign", str(wheel), "--key", str(key[0])]) == 0
    assert run_program(["plugins", "verify", str(wheel)]) == 1  # nobody trusts the key yet
    assert run_program(["plugins", "trust", key[1]]) == 0
    assert run_program(["plugins", "verify", str(wheel)]) == 0
    other = make_wheel(tmp_path / "other", {"hello/__init__.py": ""})
    assert run_program(["plugins", "verify", str(other), "--signature", f"{wheel}.sig"]) == 1
    text = Path(f"{wheel}.sig").read_text()
    public = new_key()[1]
    Path(f"{wheel}.sig").write_text(text.replace(key[1], public))
    assert run_program(["plugins", "trust", public]) == 0
    assert run_program(["plugins", "verify", str(wheel)]) == 1
    assert "not made by the key" in capsys.readouterr().out


def test_keys_are_made_once_and_kept_from_others(
    data: DataDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.pem"
    assert run_program(["plugins", "keygen", str(file)]) == 0
    public = capsys.readouterr().out.strip()
    assert file.stat().st_mode & 0o777 == 0o600
    assert run_program(["plugins", "keygen", str(file)]) == 2
    assert run_program(["plugins", "trust", public, "--name", "Me"]) == 0
    assert data.trusted_keys_file.read_text() == f"{public} Me\n"
    assert run_program(["plugins", "trust"]) == 0
    assert public in capsys.readouterr().out
    assert run_program(["plugins", "trust", "ed25519:short"]) == 2
    assert run_program(["plugins", "trust", new_key()[1], "--remove"]) == 2


def test_wrong_settings_stop_the_start(data: DataDir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AICFLOW_PLUGINS_POLICY", "trust")
    with pytest.raises(AICFlowError, match="must be any, listed or trusted"):
        PluginPolicy.from_environment()
    with pytest.raises(ValueError, match="plugins_policy"):
        Settings()
    for values in ({"plugins_keys": "x"}, {"plugins_listed": "a b"}):
        with pytest.raises(ValueError, match=r"public key|name of a distribution"):
            Settings(**values)  # type: ignore[arg-type]
