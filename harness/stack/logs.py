"""What a server logged since a mark: it writes into the same files on and on, and a run saves what belongs to it."""

from __future__ import annotations

from pathlib import Path


class Logs:
    """The logs of one server.

    :param folder: that it writes them into
    :param pattern: which of the files there are logs
    """

    def __init__(self, folder: Path, pattern: str = "*") -> None:
        self._folder, self._pattern = folder, pattern
        self._marks: dict[Path, int] = {}

    def mark(self) -> None:
        """What :meth:`save` saves begins here."""
        self._marks = {path: path.stat().st_size for path in self._found()}

    def save(self, folder: Path, *, name: str | None = None) -> None:
        """Copy what was logged since the mark into ``folder``, which is made where it is missing.

        :param name: what the log of a server that has only one is called there; None: as here
        """
        folder.mkdir(parents=True, exist_ok=True)
        for path in self._found():
            with path.open("rb") as source:
                source.seek(self._marks.get(path, 0))
                (folder / (name or path.name)).write_bytes(source.read())

    def _found(self) -> list[Path]:
        return sorted(path for path in self._folder.glob(self._pattern) if path.is_file())
