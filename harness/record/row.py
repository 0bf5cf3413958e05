"""A request as it stands in a run folder, byte by byte; for NumPy, which who only declares an incident has no use for."""

from __future__ import annotations

import numpy as np

#: One request. Times are nanoseconds since the origin; ``acquired`` is
#: :data:`harness.record.format.NOT_REACHED` where no connection was got, ``arrival``
#: numbers the arrival in the schedule (closed model: the user's draw), ``attempt`` counts from 1.
ROW = np.dtype(
    [
        ("intended", "<i8"),
        ("started", "<i8"),
        ("acquired", "<i8"),
        ("finished", "<i8"),
        ("arrival", "<u4"),
        ("operation", "u1"),
        ("outcome", "u1"),
        ("attempt", "u1"),
        ("reserved", "u1"),
    ]
)
assert ROW.itemsize == 40
