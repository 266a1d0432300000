"""A real sweep is killed at random moments and its files are damaged: does it end as if nothing had happened?

    python -m tests.faults kills=50 out=results/reliability

`sweep.py` has the sweep's command and its processes, `damage.py` what befalls its files, `comparison.py` the
question at the end, `harness.py` the loop around them, `report.py` the page.
"""
