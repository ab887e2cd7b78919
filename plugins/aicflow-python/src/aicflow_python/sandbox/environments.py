"""Named sets of modules that code may import; the operator adds installed packages to a set of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from .box.preload import MODULES

__all__ = ["DEFAULT", "Environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """`packages` are modules outside the standard set to load and allow, such as `numpy` or `numpy.linalg`.

    Each environment has a zygote of its own. What its packages do when imported, they do unsealed and once; what
    they do when called, they do sealed. Their native code widens what an attacker can reach inside a child.
    """

    packages: tuple[str, ...] = ()

    @property
    def allowed(self) -> tuple[str, ...]:
        """Every module that code may import; `package.*` for all of a package that was loaded."""
        # Packages import parts of themselves, sometimes in the name of whoever called them.
        whole = dict.fromkeys(f"{name.partition('.')[0]}.*" for name in self.packages)
        return (*MODULES, *self.packages, *whole)

    @property
    def paths(self) -> tuple[str, ...]:
        """Where the zygote finds the packages: where this process finds its own."""
        return tuple(path for path in sys.path if path) if self.packages else ()


DEFAULT = Environment()
