"""Ed25519 signatures over everything that a wheel installs, beside the wheel or in its `dist-info`.

What is signed is the distribution's name, its version and the SHA-256 of every file; not the archive, so that the same
signature holds for the wheel and for what an installer made of it.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Final

from packaging.utils import canonicalize_name

from aicflow.kernel.errors import AICFlowError
from aicflow.texts import cut

SIGNATURE_FILE: Final = "aicflow.sig"
"""In `dist-info`; beside a wheel it is `WHEEL.sig`."""
_KEY: Final = "ed25519:"
_CONTEXT: Final = b"aicflow/plugin/v1\n"
_MAX_BYTES: Final = 1 << 30
_STRONG: Final = frozenset({"sha256", "sha384", "sha512"})


@dataclass(frozen=True, slots=True)
class Contents:
    """What a distribution consists of: the SHA-256 of each file by its path, without what installers write."""

    name: str
    version: str
    files: Mapping[str, str]

    def statement(self) -> bytes:
        """The bytes that are signed."""
        body = {"name": canonicalize_name(self.name), "version": self.version, "files": dict(self.files)}
        return _CONTEXT + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as its file has it. `contents` is a claim until `valid()`."""

    contents: Contents
    key: str
    signature: bytes

    def valid(self) -> bool:
        """Whether `key` signed `contents`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(key_bytes(self.key)).verify(self.signature, self.contents.statement())
        except (InvalidSignature, ValueError):
            return False
        return True

    def difference(self, actual: Contents) -> str | None:
        """What is not as it was signed, or None."""
        signed = self.contents
        if (canonicalize_name(signed.name), signed.version) != (canonicalize_name(actual.name), actual.version):
            return f"the signature is of {signed.name} {signed.version}"
        for path in sorted({*signed.files, *actual.files}):
            if path not in signed.files:
                return f"{path} was not signed"
            if path not in actual.files:
                return f"{path} was signed and is missing"
            if signed.files[path] != actual.files[path]:
                return f"{path} is not what was signed"
        return None


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a public key such as `ed25519:BASE64`. Raises AICFlowError."""
    try:
        raw = base64.b64decode(text.removeprefix(_KEY), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(_KEY) or len(raw) != 32:
        raise AICFlowError(
            f"{cut(text, 80)!r} is not a public key.",
            hint="It looks like ed25519:BASE64, as `aicflow plugins keygen` prints it.",
        )
    return raw


def new_key() -> tuple[str, str]:
    """A new private key as PEM, and its public key."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return pem, _KEY + base64.b64encode(private.public_key().public_bytes_raw()).decode()


def sign(contents: Contents, key_file: Path) -> str:
    """The text of a signature file, by the private key in a file. Raises AICFlowError."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key_file.read_bytes(), None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AICFlowError(
            f"{key_file} is not a private key that can be read: {error}.",
            hint="`aicflow plugins keygen FILE` makes one.",
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise AICFlowError(f"{key_file} is not an Ed25519 key.", hint="`aicflow plugins keygen FILE` makes one.")
    document = {
        "aicflow_signature": 1,
        "name": contents.name,
        "version": contents.version,
        "files": dict(sorted(contents.files.items())),
        "key": _KEY + base64.b64encode(private.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(private.sign(contents.statement())).decode(),
    }
    return json.dumps(document, indent=1) + "\n"


def read_signature(text: str) -> Signature:
    """A signature from the text of its file. Raises AICFlowError."""
    try:
        data = json.loads(text)
        if data["aicflow_signature"] != 1:
            raise ValueError("its version is not 1")
        files = {str(path): str(digest) for path, digest in data["files"].items()}
        key = str(data["key"])
        key_bytes(key)
        contents = Contents(str(data["name"]), str(data["version"]), files)
        return Signature(contents, key, base64.b64decode(data["signature"], validate=True))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise AICFlowError(f"This is not a signature of a plugin: {error}.") from None


def wheel_contents(wheel: Path) -> Contents:
    """What a wheel would install. Raises AICFlowError for one that is damaged, is not what its RECORD says, or would
    write outside of its packages."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return _read_wheel(wheel.name, archive)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, UnicodeDecodeError) as error:
        raise AICFlowError(f"{wheel} is not a wheel that can be read: {error}.") from None


def _read_wheel(name: str, archive: zipfile.ZipFile) -> Contents:
    members = [member for member in archive.infolist() if not member.is_dir()]
    paths = [member.filename for member in members]
    if len(set(paths)) != len(paths):
        raise AICFlowError(f"{name} has two files of the same name.")
    if sum(member.file_size for member in members) > _MAX_BYTES:
        raise AICFlowError(f"{name} unpacks to more than {_MAX_BYTES:,} bytes.")
    for path in paths:
        if not is_inside(path):
            raise AICFlowError(f"{name} would write outside of its folder: {path!r}.")
        if path.partition("/")[0].endswith(".data"):
            raise AICFlowError(
                f"{name} has {path}: installers move such files, so they cannot be checked afterwards.",
                hint="Leave out scripts, headers and data files; use entry points and files in the package.",
            )
    records = [path for path in paths if path.endswith(".dist-info/RECORD") and path.count("/") == 1]
    if len(records) != 1:
        raise AICFlowError(f"{name} has {len(records)} RECORD files; a wheel has one.")
    folder = records[0].partition("/")[0]
    hashes = record_hashes(archive.read(records[0]).decode())
    files: dict[str, str] = {}
    for path in paths:
        if path == records[0]:
            continue
        content = archive.read(path)
        if path not in hashes:
            raise AICFlowError(f"{name} has {path}, which is not in its RECORD.")
        if not matches(content, hashes[path]):
            raise AICFlowError(f"{name}: {path} is not what its RECORD says.")
        if not by_installer(path, folder):
            files[path] = hashlib.sha256(content).hexdigest()
    missing = sorted(set(hashes) - set(paths))
    if missing:
        raise AICFlowError(f"{name} lacks {missing[0]}, which is in its RECORD.")
    if f"{folder}/METADATA" not in files:
        raise AICFlowError(f"{name} has no METADATA.")
    metadata = HeaderParser().parsestr(archive.read(f"{folder}/METADATA").decode())
    return Contents(str(metadata["Name"]), str(metadata["Version"]), files)


def embed(wheel: Path, signature: str) -> None:
    """Put a signature into a wheel, in place of one that it has, so that it is installed with it."""
    new = wheel.with_name(f".{wheel.name}.new")
    try:
        with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(new, "w", zipfile.ZIP_DEFLATED) as out:
            record = next(n for n in old.namelist() if n.endswith(".dist-info/RECORD") and n.count("/") == 1)
            place = f"{record.partition('/')[0]}/{SIGNATURE_FILE}"
            rows = [row for row in csv.reader(StringIO(old.read(record).decode())) if row and row[0] != place]
            digest = base64.urlsafe_b64encode(hashlib.sha256(signature.encode()).digest()).rstrip(b"=").decode()
            rows.append([place, f"sha256={digest}", str(len(signature.encode()))])
            for member in old.infolist():
                if member.filename not in (record, place):
                    out.writestr(member, old.read(member))
            text = StringIO()
            csv.writer(text, lineterminator="\n").writerows(rows)
            out.writestr(place, signature)
            out.writestr(old.getinfo(record), text.getvalue())
        new.replace(wheel)
    finally:
        new.unlink(missing_ok=True)


def embedded(wheel: Path) -> str | None:
    """The signature in a wheel, or None."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(f".dist-info/{SIGNATURE_FILE}") and name.count("/") == 1:
                return archive.read(name).decode("utf-8", "replace")
    return None


def record_hashes(record: str) -> dict[str, str]:
    """The hash of each path in a RECORD, as `sha256=…`; empty where there is none."""
    rows = (row for row in csv.reader(StringIO(record)) if row)
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows if not row[0].endswith(".dist-info/RECORD")}


def matches(content: bytes, recorded: str) -> bool:
    """Whether a content has a hash as RECORD writes it, by an algorithm that can be relied upon."""
    algorithm, _, value = recorded.partition("=")
    if algorithm not in _STRONG:
        return False
    digest = hashlib.new(algorithm, content).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == value.rstrip("=")


def by_installer(path: str, folder: str) -> bool:
    """Whether installers write this file, or it is the signature itself: no part of what is signed."""
    own = {SIGNATURE_FILE, "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
    return path in {f"{folder}/{name}" for name in own}


def is_inside(path: str) -> bool:
    """Whether a path stays in its folder."""
    pure = PurePosixPath(path)
    return bool(path) and not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path


def trusted_keys(file: Path, more: Sequence[str] = ()) -> dict[str, str]:
    """The trusted public keys, with what they are called. Raises AICFlowError."""
    return dict(_keys(file, more))


def _keys(file: Path, more: Sequence[str]) -> Iterator[tuple[str, str]]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    except (OSError, UnicodeDecodeError) as error:
        raise AICFlowError(f"The trusted keys in {file} cannot be read: {error}.") from None
    for line in [*lines, *more]:
        key, _, name = line.strip().partition(" ")
        if key and not key.startswith("#"):
            key_bytes(key)
            yield key, name.strip()
