"""A pytest plugin: in continuous integration a skip is a failure, unless its reason is one of those expected.

``LOCE_SKIPS_ALLOWED`` is the regular expression of the reasons that are expected; without it every skip is.
"""

import os
import re

SKIPPED = []


def pytest_runtest_logreport(report):
    """Note a skipped test."""
    if report.skipped and not hasattr(report, "wasxfail"):  # a failure that is expected, with its reason, is no skip
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        SKIPPED.append((report.nodeid, str(reason)))


pytest_collectreport = pytest_runtest_logreport  # whole files are skipped when they are collected


def pytest_sessionfinish(session):
    """Fail for each skip with an unexpected reason."""
    allowed = os.environ.get("LOCE_SKIPS_ALLOWED")
    if allowed is None or hasattr(session.config, "workerinput"):
        return
    hidden = sorted({(test, why) for test, why in SKIPPED if not (allowed and re.search(allowed, why))})
    for test, why in hidden:
        print(f"\nskipped, which is a failure here: {test}: {why}")
    if hidden and session.exitstatus == 0:
        session.exitstatus = 1
