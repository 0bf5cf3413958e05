"""The instrument; see ARCHITECTURE.md.

Nothing here multiplies matrices. NumPy's linear algebra would begin a thread for each core all the same, which spins before
it sleeps: on the cores of the load, whenever one of its processes starts. Who has set the number keeps it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
