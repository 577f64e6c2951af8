"What all benchmarks share: two threads for PyTorch, and figures that are not times."
import pytest
import torch


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    "Below the tables: what benchmarks noted with `record_property`."
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties: terminalreporter.write_line(f"{name}: {value}")
