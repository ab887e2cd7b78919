"""The options of curl: which take a value, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from aicflow_http.curl.words import CurlUnreadable

__all__ = ["options"]

# Long name: (short name, takes a value). What they do is read.py's business.
_USED: dict[str, tuple[str, bool]] = {
    "basic": ("", False),
    "cacert": ("", True),
    "cert": ("E", True),
    "connect-timeout": ("", True),
    "cookie": ("b", True),
    "data": ("d", True),
    "data-ascii": ("", True),
    "data-binary": ("", True),
    "data-raw": ("", True),
    "data-urlencode": ("", True),
    "form": ("F", True),
    "form-string": ("", True),
    "get": ("G", False),
    "head": ("I", False),
    "header": ("H", True),
    "insecure": ("k", False),
    "json": ("", True),
    "key": ("", True),
    "location-trusted": ("", False),
    "max-filesize": ("", True),
    "max-redirs": ("", True),
    "max-time": ("m", True),
    "oauth2-bearer": ("", True),
    "pass": ("", True),
    "proxy": ("x", True),
    "proxy-user": ("U", True),
    "range": ("r", True),
    "referer": ("e", True),
    "request": ("X", True),
    "retry": ("", True),
    "upload-file": ("T", True),
    "url": ("", True),
    "url-query": ("", True),
    "user": ("u", True),
    "user-agent": ("A", True),
}

# They say how curl shows or stores things, or ask for what the node does anyway.
_IGNORED: dict[str, tuple[str, bool]] = {
    "anyauth": ("", False),
    "compressed": ("", False),
    "cookie-jar": ("c", True),
    "create-dirs": ("", False),
    "dump-header": ("D", True),
    "fail": ("f", False),
    "fail-early": ("", False),
    "fail-with-body": ("", False),
    "globoff": ("g", False),
    "http1.0": ("0", False),
    "http1.1": ("", False),
    "http2": ("", False),
    "http2-prior-knowledge": ("", False),
    "http3": ("", False),
    "include": ("i", False),
    "ipv4": ("4", False),
    "ipv6": ("6", False),
    "keepalive-time": ("", True),
    "location": ("L", False),
    "no-buffer": ("N", False),
    "no-keepalive": ("", False),
    "no-progress-meter": ("", False),
    "output": ("o", True),
    "output-dir": ("", True),
    "path-as-is": ("", False),
    "post301": ("", False),
    "post302": ("", False),
    "progress-bar": ("#", False),
    "remote-header-name": ("J", False),
    "remote-name": ("O", False),
    "retry-all-errors": ("", False),
    "retry-connrefused": ("", False),
    "retry-delay": ("", True),
    "retry-max-time": ("", True),
    "show-error": ("S", False),
    "silent": ("s", False),
    "ssl-no-revoke": ("", False),
    "tcp-nodelay": ("", False),
    "tlsv1.2": ("", False),
    "tlsv1.3": ("", False),
    "trace-ascii": ("", True),
    "verbose": ("v", False),
    "write-out": ("w", True),
}

_REFUSED: dict[str, str] = {
    "aws-sigv4": "requests are not signed in Amazon's way",
    "config": "options are not read from files",
    "connect-to": "requests go where the URL says",
    "digest": "digest authentication is not offered; see 'auth' for what is",
    "interface": "the network interface is the operator's choice",
    "negotiate": "Kerberos authentication is not offered",
    "netrc": "credentials are not read from files; use -u",
    "next": "one node sends one request; read each command by itself",
    "ntlm": "NTLM authentication is not offered",
    "parallel": "one node sends one request",
    "preproxy": "one proxy at a time",
    "proxy-digest": "the proxy is spoken to with basic authentication only",
    "proxy-ntlm": "the proxy is spoken to with basic authentication only",
    "request-target": "requests go where the URL says",
    "resolve": "names are resolved by the system; an operator can allow an inner host",
    "socks5": "only HTTP proxies are offered",
    "socks5-hostname": "only HTTP proxies are offered",
    "time-cond": "use a header If-Modified-Since",
    "unix-socket": "sockets in the file system are not dialled",
}
_REFUSED_SHORT = {"K": "config", "n": "netrc", ":": "next", "Z": "parallel", "z": "time-cond"}

_KNOWN = _USED | _IGNORED
_SHORT = {short: name for name, (short, _) in _KNOWN.items() if short} | _REFUSED_SHORT


def options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(long name, value) of each option that matters, in order; a URL has the name `url`. Raises CurlUnreadable."""
    waiting = list(reversed(words))
    plain = False
    while waiting:
        word = waiting.pop()
        if plain or not word.startswith("-") or word == "-":
            yield "url", word
        elif word == "--":
            plain = True
        elif word.startswith("--"):
            yield from _long(word[2:], waiting)
        else:
            yield from _shorts(word[1:], waiting)


def _long(name: str, waiting: list[str]) -> Iterator[tuple[str, str]]:
    if name.startswith("no-") and name not in _KNOWN and name[3:] in _KNOWN:
        return  # the opposite of a switch is what curl does anyway
    takes = _takes_value(name, f"--{name}")
    value = _value(f"--{name}", waiting) if takes else ""
    if name in _USED:
        yield name, value


def _shorts(letters: str, waiting: list[str]) -> Iterator[tuple[str, str]]:
    """-sSL, -XPOST, -d @file: letters in a row, the first that takes a value having the rest as it."""
    while letters:
        letter, letters = letters[0], letters[1:]
        name = _SHORT.get(letter)
        if name is None:
            raise CurlUnreadable(
                f"curl's option -{letter} is not known here.", hint="Leave it out if it does not matter."
            )
        value = ""
        if _takes_value(name, f"-{letter}"):
            value, letters = letters or _value(f"-{letter}", waiting), ""
        if name in _USED:
            yield name, value


def _takes_value(name: str, written: str) -> bool:
    if name in _REFUSED:
        raise CurlUnreadable(f"{written} cannot be carried over: {_REFUSED[name]}.")
    if name not in _KNOWN:
        near = get_close_matches(name[:40], [*_KNOWN, *_REFUSED], n=1)
        hint = f"Did you mean --{near[0]}?" if near else "Leave it out if it does not matter."
        raise CurlUnreadable(f"curl's option {written[:40]} is not known here.", hint=hint)
    return _KNOWN[name][1]


def _value(written: str, waiting: list[str]) -> str:
    if not waiting:
        raise CurlUnreadable(f"{written} needs a value after it.")
    return waiting.pop()
