"""What a run needs and this machine has: each thing looked at once, with what to do where it is lacking.

examination.py  everything, one after the other; finding.py: one line of the answer
machine.py    cores, memory, descriptors, ports, disk, kernel
clock.py      the clock that everything is timed by, and whether the wall clock is kept right
software.py   Python and packages
servers.py    what servers can be brought up from: binaries, a Docker engine and its images, servers of one's own; leftovers
"""

from harness.doctor.examination import examine, impossible
from harness.doctor.finding import Finding, State

__all__ = ["Finding", "State", "examine", "impossible"]
