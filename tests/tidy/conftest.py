import os

import pytest


def pytest_collection_modifyitems(config, items):
    # Whoever runs the house rules alone has no reports to read; `make test` sets HEADRACE_REPORTS.
    if os.environ.get("HEADRACE_REPORTS"):
        return
    after = [item for item in items if item.get_closest_marker("after_main_run")]
    if after:
        config.hook.pytest_deselected(items=after)
        items[:] = [item for item in items if item not in after]


@pytest.fixture
def reports_folder():
    return os.environ["HEADRACE_REPORTS"]
