"""The options of curl: which take a value, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import get_close_matches

from aicflow import cut

from aicflow_curl.shell_words import CurlUnreadable


def _options(valued: str, switches: str) -> dict[str, tuple[str, bool]]:
    """Long name: (short name, takes a value), from words such as "cert:E"."""
    words = [(word.partition(":"), True) for word in valued.split()]
    words += [(word.partition(":"), False) for word in switches.split()]
    return {name: (short, takes_value) for (name, _, short), takes_value in words}


# What they do is importing.py's business.
_USED = _options(
    "cacert cert:E connect-timeout cookie:b data:d data-ascii data-binary data-raw data-urlencode form:F "
    "form-string header:H json key max-filesize max-redirs max-time:m oauth2-bearer pass proxy:x proxy-user:U "
    "range:r referer:e request:X retry upload-file:T url url-query user:u user-agent:A",
    "basic get:G head:I insecure:k location-trusted",
)

# They say how curl shows or stores things, or ask for what the node does anyway.
_IGNORED = _options(
    "cookie-jar:c dump-header:D keepalive-time output:o output-dir retry-delay retry-max-time trace-ascii write-out:w",
    "anyauth compressed create-dirs fail:f fail-early fail-with-body globoff:g http1.0:0 http1.1 http2 "
    "http2-prior-knowledge http3 include:i ipv4:4 ipv6:6 location:L no-buffer:N no-keepalive no-progress-meter "
    "path-as-is post301 post302 progress-bar:# remote-header-name:J remote-name:O retry-all-errors "
    "retry-connrefused show-error:S silent:s ssl-no-revoke tcp-nodelay tlsv1.2 tlsv1.3 verbose:v",
)

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
        raise CurlUnreadable(f"curl's option {cut(written, 40)} is not known here.", hint=hint)
    return _KNOWN[name][1]


def _value(written: str, waiting: list[str]) -> str:
    if not waiting:
        raise CurlUnreadable(f"{written} needs a value after it.")
    return waiting.pop()
