"""Finds incidents and loads them; what can be checked before a server starts is refused here.

An incident is a folder with ``incident.py`` (whose ``INCIDENT`` declares it), ``users.py`` and ``variants/<name>.py``. It lies
in the package ``loadtests`` beside this one, or in the folder that FLASHCROWD_LOADTESTS names. Its name is the folder's, with
hyphens for underscores, so adding one takes a folder and nothing else, and a broken one does not stand in another's way.

definition.py      what of a declaration is refused, in words
services.py        what of a topology's services is refused
measured.py        whether a series is measured on the servers that a topology has
timeline.py        what of a timeline is refused
declared_types.py  whether a declaration's values have the types that the nouns say
mongo_client.py    what of an application's use of MongoDB is refused
users.py           what of the user classes of users.py is refused, without importing them
operations.py      whether users.py and the variants have the operations, without importing them
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from harness.catalog.definition import check
from harness.errors import DefinitionError, UsageError
from harness.model import Incident
from harness.stack.services.service import OWN_FOLDER as OWN_FOLDER

DECLARATION = "incident.py"
ATTRIBUTE = "INCIDENT"


def find() -> dict[str, Path]:
    """Path of each incident's ``incident.py`` by the incident's name, in order of names; none is loaded.

    :raises UsageError: the folder that FLASHCROWD_LOADTESTS names does not exist
    :raises DefinitionError: two folders give the same name
    """
    found: dict[str, Path] = {}
    for root in _roots():
        for path in sorted(root.glob(f"*/{DECLARATION}")):
            name = path.parent.name.replace("_", "-")
            if name in found:
                raise DefinitionError(
                    where=str(path),
                    field="folder",
                    value=path.parent.name,
                    expected=f"a folder of another name: {found[name].parent} is called {name} too",
                )
            found[name] = path
    return dict(sorted(found.items()))


def load(name: str) -> Incident:
    """An incident, checked.

    :raises UsageError: there is none of that name
    :raises DefinitionError: it is wrong; the error names file, field, value and what would be right
    """
    found = find()
    path = found.get(name)
    if path is None:
        near = difflib.get_close_matches(name.replace("_", "-"), found, n=3)
        advice = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(found) or 'none'}"
        raise UsageError(f"unknown incident {name!r}; {advice}")
    return load_folder(path.parent)


def load_folder(folder: Path) -> Incident:
    """The incident of a folder, checked.

    :raises DefinitionError: it is wrong; the error names file, field, value and what would be right
    """
    path = folder / DECLARATION
    module = _import(path)
    incident = getattr(module, ATTRIBUTE, None)
    if incident is None:
        raise DefinitionError(
            where=str(path), field=ATTRIBUTE, value=None, expected=f"the module must set {ATTRIBUTE} = Incident(…)"
        )
    if not isinstance(incident, Incident):
        raise DefinitionError(where=str(path), field=ATTRIBUTE, value=incident, expected="an Incident of harness.model")
    check(incident, path)
    return incident


def _roots() -> list[Path]:
    """The folders whose folders are incidents."""
    roots = [_shipped()]
    own = os.environ.get(OWN_FOLDER)
    if own:
        folder = Path(own).expanduser().resolve()
        if not folder.is_dir():
            raise UsageError(f"{OWN_FOLDER}={own}: no such folder; name one that holds a folder per incident")
        if folder not in roots:
            roots.append(folder)
    return roots


def _shipped() -> Path:
    return Path(__file__).resolve().parents[2] / "loadtests"


def _import(path: Path) -> ModuleType:
    """The declaration's module. One's own is imported by its path, under a name that meets no other module's."""
    package = "loadtests" if path.parent.parent == _shipped() else f"flashcrowd_own_{abs(hash(path.parent.parent)):x}"
    name = f"{package}.{path.parent.name}.incident"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses declared in it look themselves up there
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        sys.modules.pop(name, None)
        raise _syntax_error(path, error) from error
    except Exception as error:  # its code is a definition: whatever it raises is a wrong definition
        sys.modules.pop(name, None)
        line = next(
            (
                frame.lineno
                for frame in reversed(traceback.extract_tb(error.__traceback__))
                if frame.filename == str(path)
            ),
            None,
        )
        raise DefinitionError(
            where=f"{path}:{line}" if line else str(path),
            field=ATTRIBUTE,
            value=f"{type(error).__name__}: {error}",
            expected="a module that can be imported",
        ) from error
    return module


def _syntax_error(path: Path, error: SyntaxError) -> DefinitionError:
    return DefinitionError(
        where=f"{error.filename or path}:{error.lineno}",
        field="syntax",
        value=(error.text or "").strip(),
        expected=f"Python that can be read ({error.msg})",
    )
