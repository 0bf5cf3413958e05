"""Metric names as mongodb_exporter makes them: from the path of a figure in what the server answers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

#: Prefixes that it shortens, the first that fits.
_PREFIXES = (
    ("serverStatus.wiredTiger.transaction.", "ss_wt_txn."),
    ("serverStatus.wiredTiger.", "ss_wt."),
    ("serverStatus.", "ss."),
    ("replSetGetStatus.", "rs."),
)
#: Objects whose keys become values of a label.
_LABELLED = {
    "serverStatus.asserts.": "assert_type",
    "serverStatus.connections.": "conn_type",
    "serverStatus.globalLock.currentQueue.": "count_type",
    "serverStatus.opcounters.": "legacy_op_type",
    "serverStatus.opcountersRepl.": "legacy_op_type",
}


def figures(path: str, found: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str], float]]:
    """Every number below an object: metric, labels, value.

    :param path: of the object, such as ``serverStatus.connections``

    >>> list(figures("serverStatus.connections", {"current": 7, "note": "none"}))
    [('mongodb_ss_connections', {'conn_type': 'current'}, 7.0)]
    >>> list(figures("serverStatus.flowControl", {"isLagged": False}))
    [('mongodb_ss_flowControl_isLagged', {}, 0.0)]
    """
    for key, value in found.items():
        if isinstance(value, Mapping):
            yield from figures(f"{path}.{key}", value)
        elif isinstance(value, bool | int | float) and not isinstance(value, datetime):
            label = _LABELLED.get(f"{path}.")
            if label is not None:
                yield _name(path), {label: key}, float(value)
            else:
                yield _name(f"{path}.{key}"), {}, float(value)


def _name(path: str) -> str:
    """
    >>> _name("serverStatus.wiredTiger.cache.bytes currently in the cache")
    'mongodb_ss_wt_cache_bytes_currently_in_the_cache'
    """
    for long, short in _PREFIXES:
        if path.startswith(long):
            path = short + path.removeprefix(long)
            break
    return "mongodb_" + re.sub(r"__+", "_", re.sub(r"[^a-zA-Z0-9_]+", "_", path)).strip("_")
