"""The report: one HTML file that opens offline and shows what the databases went through, variant beside variant.

What enters is a verdict and the run folders it judged; what leaves is a single file without any outside reference.
Figures are aggregated by DuckDB over :attr:`harness.record.reader.Run.db`, never row by row.

page.py        puts the parts together and writes the file
side.py        one variant: its verdict and its run
axis.py        the time axis that all charts share; phases and marks
compact.py     arrays as short JSON
outcomes.py    how a request ended, in words
chart.py       what a chart is; charts.py: what each shows
requests.py    series from requests: rates, percentiles, errors, heat map
sampled.py     series from what the probes sampled
judgement.py   the verdict table and the sentence on top of it
operations.py  exact figures of each operation
actions.py     what the timeline did
deadlocks.py   deadlocks, distinct by shape; graph.py draws their lock graph
blocking.py    the deepest tree of waiting sessions
slow_operations.py  the slowest operations that MongoDB's members logged
statements.py  statements of the variants beside one another; plans.py their plans
environment.py what the figures were measured on
compiled.py    templates, compiled once
embed.py       data and code inside HTML: escaping, content security policy
templates/  static/  vendor/   markup, our style and script, uPlot
"""

from harness.report.html.page import write

__all__ = ["write"]
