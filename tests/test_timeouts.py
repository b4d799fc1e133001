"""No test fails because the machine is busy: what must happen is waited for by one patience, which only a hang outlasts."""

import re

from tests.timeouts import PATIENCE_S

# A number of seconds after which a process, an answer or a state is given up.
SHORT = re.compile(
    r"communicate\([^)\n]*timeout=\d|\.wait\(timeout=\d|monotonic\(\) \+ \d{1,2}(?:\.\d+)?\n|urlopen\([^\n]*timeout=\d"
    r"|monotonic\(\) - began < \d|mark\.timeout\([1-9]?\d{1,2}\)"
)


def test_no_test_gives_up_after_a_time_of_its_own(repository):
    found = {
        str(file.relative_to(repository)): SHORT.findall(text)
        for file in sorted((repository / "tests").rglob("*.py"))
        if file.name != "test_waiting.py" and SHORT.search(text := file.read_text(encoding="utf-8"))
    }
    assert found == {}, "wait for tests.timeouts.PATIENCE_S instead"
    assert PATIENCE_S >= 600
