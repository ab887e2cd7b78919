"""Loads everything a sealed child may need, because it can open no file later: modules, encodings, time zones,
hashes."""

from __future__ import annotations

import importlib
import io
import os
import sys
import time
from typing import Any, Final

MODULES: Final = (
    "abc", "array", "asyncio", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections",
    "collections.abc", "colorsys", "contextlib", "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal",
    "difflib", "enum", "fractions", "functools", "graphlib", "gzip", "hashlib", "heapq", "hmac", "html",
    "html.entities", "html.parser", "io", "ipaddress", "itertools", "json", "json.decoder", "json.encoder", "keyword",
    "math", "numbers", "operator", "pprint", "random", "re", "reprlib", "secrets", "statistics", "string",
    "stringprep", "struct", "textwrap", "time", "tomllib", "traceback", "types", "typing", "unicodedata", "urllib",
    "urllib.parse", "uuid", "warnings", "weakref", "xml", "xml.etree", "xml.etree.ElementTree", "zlib", "zoneinfo",
)  # fmt: skip
"""What the author's code may import."""

SUPPORT: Final = (
    "_strptime", "ast", "faulthandler", "linecache", "resource", "signal", "stringprep", "copyreg", "opcode",
    "encodings.aliases", "encodings.ascii", "encodings.base64_codec", "encodings.big5", "encodings.charmap",
    "encodings.cp1250", "encodings.cp1251", "encodings.cp1252", "encodings.cp437", "encodings.euc_jp",
    "encodings.gbk", "encodings.hex_codec", "encodings.idna", "encodings.iso8859_1", "encodings.iso8859_15",
    "encodings.iso8859_2", "encodings.latin_1", "encodings.punycode", "encodings.raw_unicode_escape",
    "encodings.rot_13", "encodings.shift_jis", "encodings.unicode_escape", "encodings.utf_16",
    "encodings.utf_16_be", "encodings.utf_16_le", "encodings.utf_32", "encodings.utf_7", "encodings.utf_8",
    "encodings.utf_8_sig", "encodings.zlib_codec",
)  # fmt: skip
"""What the modules above load lazily, and what the runner needs."""


def preload(zone_paths: list[str]) -> None:
    """Import all of it and keep the time zones in memory."""
    for name in (*MODULES, *SUPPORT):
        importlib.import_module(name)
    sys.modules.pop("ssl", None)  # it was kept from being loaded; see the host's boot line
    settle_time()
    settle_hashes()
    settle_zones(zone_data(zone_paths))


def settle_time() -> None:
    """Local time is UTC, whatever the machine says."""
    os.environ["TZ"] = "UTC"
    time.tzset()
    time.strptime("2000", "%Y")


def settle_hashes() -> None:
    """Use each hash once: OpenSSL finds its algorithms lazily."""
    import hashlib

    for name in sorted(hashlib.algorithms_available):
        try:
            hashlib.new(name, usedforsecurity=False)
        except ValueError:
            continue  # listed by OpenSSL, but switched off
    hashlib.pbkdf2_hmac("sha256", b"", b"", 1)


def zone_data(paths: list[str]) -> dict[str, bytes]:
    """Every time zone of the first path that has any, by key."""
    for root in paths:
        zones: dict[str, bytes] = {}
        for folder, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in ("posix", "right", "__pycache__")]
            for name in files:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                if data.startswith(b"TZif"):
                    zones[os.path.relpath(path, root).replace(os.sep, "/")] = data
        if zones:
            return zones
    return {}


def settle_zones(zones: dict[str, bytes]) -> None:
    """Have `zoneinfo` look into memory instead of the file system."""
    import zoneinfo

    common: Any = importlib.import_module("zoneinfo._common")

    def load_tzdata(key: str) -> io.BytesIO:
        try:
            return io.BytesIO(zones[key])
        except KeyError:
            raise zoneinfo.ZoneInfoNotFoundError(f"No time zone found with key {key}") from None

    zoneinfo.reset_tzpath(to=())
    common.load_tzdata = load_tzdata
    zoneinfo.available_timezones = lambda: set(zones)
    for key in ("UTC", "Europe/Berlin"):
        if key in zones:
            zoneinfo.ZoneInfo(key)
