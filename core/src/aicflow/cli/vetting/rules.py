"""What the source of a plugin does, as its syntax tree tells: a reader's attention for what may do harm.

This finds what is written plainly and the usual ways of hiding it. It is no proof that code is harmless.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from aicflow.cli.vetting.findings import Finding, Severity

_CHECK: Final = "source"
_RULES: Final[dict[str, tuple[Severity, str, str]]] = {
    "process": ("review", "starts processes", """subprocess os.system os.popen os.exec os.spawn os.posix_spawn os.fork
        pty multiprocessing asyncio.create_subprocess_exec asyncio.create_subprocess_shell"""),
    "network": ("review", "talks to the network beside aicflow.net", """socket ssl urllib.request http.client
        http.server ftplib smtplib poplib imaplib telnetlib xmlrpc socketserver requests httpx httpx2 aiohttp urllib3
        websockets websocket paramiko asyncio.open_connection asyncio.start_server"""),
    "guarded-network": ("note", "talks to the network through aicflow.net", "aicflow.net"),
    "native-code": ("review", "calls native code", "ctypes cffi _ctypes"),
    "dynamic-code": ("review", "runs code that it makes or finds while it runs", """eval exec compile __import__
        importlib.import_module importlib.reload runpy code.interact builtins __builtins__"""),
    "deserialization": ("review", "reads data that can run code", """pickle marshal shelve dill cloudpickle joblib
        yaml.load yaml.unsafe_load"""),
    "interpreter": ("review", "changes the interpreter", """sys.path sys.modules sys.meta_path sys.path_hooks
        sys.settrace sys.setprofile sys.addaudithook sys._getframe gc.get_objects site atexit.register"""),
    "environment": ("note", "reads environment variables", "os.environ os.getenv"),
    "private-api": ("review", "uses parts of aicflow that are not public", """aicflow.kernel aicflow.engine aicflow.host
        aicflow.store aicflow.language aicflow.cli"""),
}  # fmt: skip
_BY_NAME: Final = {name: (code, rule[0], rule[1]) for code, rule in _RULES.items() for name in rule[2].split()}
_DECODERS: Final = ("base64", "binascii", "zlib", "bz2", "lzma", "marshal", "codecs.decode", "bytes.fromhex")
_EFFECTS: Final = (
    "os.remove", "os.unlink", "os.rename", "os.replace", "os.rmdir", "os.removedirs", "os.mkdir", "os.makedirs",
    "os.chmod", "os.chown", "os.symlink", "os.link", "os.kill", "os.putenv", "os.truncate", "shutil",
    "tempfile.mkstemp", "tempfile.mkdtemp",
)  # fmt: skip
_WRITING_METHODS: Final = (
    "write_text", "write_bytes", "unlink", "rmdir", "mkdir", "touch", "symlink_to", "hardlink_to", "rename", "chmod",
)  # fmt: skip
_ENCODED: Final = re.compile(r"[A-Za-z0-9+/_=\-]{600,}|(\\x[0-9a-f]{2}){150,}")
_HIDDEN_NAMES: Final = frozenset({"eval", "exec", "compile", "__import__", "system", "popen"})


def look_at(source: str | bytes, file: str) -> list[Finding]:
    """What one module does. Each kind of thing is told once for each line."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return [Finding(_CHECK, "review", "unreadable", f"cannot be read as Python: {error}", file)]
    try:
        found = list(_Look(file, tree).findings())
    except RecursionError:
        return [Finding(_CHECK, "review", "unreadable", "is nested too deeply to be read", file)]
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.line or 0, finding.code))


class _Look:
    def __init__(self, file: str, tree: ast.Module) -> None:
        self._file = file
        self._tree = tree
        self._names: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self._names[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def findings(self) -> Iterator[Finding]:
        runs_code = False
        encoded: int | None = None
        at_import = {id(node) for node in _at_import(self._tree)}
        for node in ast.walk(self._tree):
            line: int | None = getattr(node, "lineno", None)
            for name in self._used(node):
                rule = _rule_of(name)
                if rule is not None:
                    code, severity, text = rule
                    yield Finding(_CHECK, severity, code, f"{text}: {name}", self._file, line)
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = node.value.decode("latin-1") if isinstance(node.value, bytes) else node.value
                if _ENCODED.search(text) or (isinstance(node.value, bytes) and len(node.value) >= 600):
                    encoded = line
                    message = f"holds {len(text)} characters of encoded data"
                    yield Finding(_CHECK, "review", "encoded-data", message, self._file, line)
            if not isinstance(node, ast.Call):
                continue
            called = self._dotted(node.func)
            if called in ("eval", "exec", "compile", "builtins.exec", "builtins.eval", "marshal.loads"):
                runs_code = True
                if called != "marshal.loads" and any(self._decodes(part) for part in node.args):
                    yield Finding(
                        _CHECK, "reject", "obfuscated-code", "runs code that it decodes first", self._file, line
                    )
            if called in ("getattr", "builtins.getattr") and len(node.args) > 1 and self._hides(node.args[1]):
                yield Finding(_CHECK, "reject", "obfuscated-code", "hides the name of what it calls", self._file, line)
            if id(node) in at_import and (effect := self._effect(node, called)):
                yield Finding(
                    _CHECK, "reject", "import-effect", f"has effects when it is imported: {effect}", self._file, line
                )
        if runs_code and encoded is not None:
            message = "holds encoded data and runs code that it makes"
            yield Finding(_CHECK, "reject", "obfuscated-code", message, self._file, encoded)

    def _used(self, node: ast.AST) -> Iterator[str]:
        """The dotted names that an expression or an import uses."""
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            yield self._dotted(node) or ""
        elif isinstance(node, ast.Name) and node.id not in self._names:  # an import was told where it stands
            yield node.id

    def _dotted(self, node: ast.AST) -> str | None:
        if isinstance(node, ast.Name):
            return self._names.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def _decodes(self, node: ast.AST) -> bool:
        names = (self._dotted(part.func) or "" for part in ast.walk(node) if isinstance(part, ast.Call))
        return any(name in _DECODERS or name.partition(".")[0] in _DECODERS for name in names)

    def _hides(self, node: ast.expr) -> bool:
        """Whether a name is put together, or is one that would be told if it were written plainly."""
        if isinstance(node, ast.Constant):
            return node.value in _HIDDEN_NAMES
        if isinstance(node, ast.BinOp):
            parts = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
            return "".join(str(part.value) for part in parts) in _HIDDEN_NAMES
        return self._decodes(node) or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice))

    def _effect(self, node: ast.Call, called: str | None) -> str | None:
        if called is not None:
            rule = _rule_of(called)
            if rule is not None and rule[0] in ("process", "network") and not called.startswith("ssl."):
                return called
            if called in _EFFECTS or called.partition(".")[0] in _EFFECTS:
                return called
            if called in ("open", "io.open", "os.open") and _writes(node):
                return f"{called} for writing"
        if isinstance(node.func, ast.Attribute):
            if node.func.attr in _WRITING_METHODS:
                return node.func.attr
            if node.func.attr == "open" and _writes(node, method=True):
                return "open for writing"
        return None


def _rule_of(name: str) -> tuple[str, Severity, str] | None:
    """The rule for a dotted name: its own, or that of what it belongs to (`os.exec` is also `os.execv`)."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        rule = _BY_NAME.get(".".join(parts[:end]))
        if rule is not None:
            return rule
    if name.startswith(("os.exec", "os.spawn")):
        return _BY_NAME["os.exec"]
    return None


def _writes(call: ast.Call, *, method: bool = False) -> bool:
    position = 0 if method else 1
    modes = [*call.args[position : position + 1], *(key.value for key in call.keywords if key.arg == "mode")]
    return any(not isinstance(mode, ast.Constant) or bool(set(str(mode.value)) & set("wax+")) for mode in modes)


def _at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported: everything outside of functions, decorators and defaults too."""
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting.extend([*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)])
        elif isinstance(node, ast.If) and _is_main(node.test):
            waiting.extend(node.orelse)
        elif not isinstance(node, ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and isinstance(test.left, ast.Name) and test.left.id == "__name__"
