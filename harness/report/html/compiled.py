"""Templates compiled once: kept beside them in ``__pycache__``, as Python keeps its modules, since it takes a third of a second.

Whatever keeps one from being read or written only costs that time.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import jinja2
from jinja2.bccache import Bucket


def environment(templates: Path, **options: Any) -> jinja2.Environment:
    """Jinja's environment for a folder of templates; what is compiled with other options or another Jinja is not taken."""
    kept = Compiled(templates / "__pycache__", options)
    return jinja2.Environment(loader=jinja2.FileSystemLoader(templates), bytecode_cache=kept, **options)


class Compiled(jinja2.BytecodeCache):
    """Compiled templates in a folder. Jinja itself tells by a checksum whether one is of the template as it is now.

    :param options: of the environment: what is compiled depends on them
    """

    def __init__(self, folder: Path, options: Mapping[str, Any]) -> None:
        self._folder = folder
        made_by = [metadata.version("jinja2"), sys.implementation.cache_tag, *sorted(map(repr, options.items()))]
        self._made_by = hashlib.sha256("\n".join(made_by).encode()).hexdigest()[:16]

    def load_bytecode(self, bucket: Bucket) -> None:
        """Take what is kept, if anything is; what is damaged is left."""
        with suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep it, unless Python is told to keep nothing; whoever reads meanwhile sees the old or the new."""
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        neighbour = path.with_name(f"{path.name}.{os.getpid()}")
        with suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            try:
                with neighbour.open("wb") as file:
                    bucket.write_bytecode(file)
                neighbour.replace(path)
            finally:
                neighbour.unlink(missing_ok=True)

    def _path(self, bucket: Bucket) -> Path:
        return self._folder / f"{bucket.key}-{self._made_by}.jinja"
