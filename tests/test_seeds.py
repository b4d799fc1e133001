"""Chance in tests: the same in the quick suite, anew by a printed seed in the whole one, and nowhere by another way."""

import re
import subprocess
import sys

import hypothesis
import pytest

from tests import seeds


def test_the_quick_suite_draws_the_same_examples_each_time_and_knows_no_deadline():
    if seeds.SEED is not None:
        pytest.skip("this run was given a seed")
    default = hypothesis.settings()
    assert (default.derandomize, default.deadline, default.max_examples) == (True, None, 100)
    assert hypothesis.HealthCheck.too_slow in default.suppress_health_check
    assert seeds.examples(40).max_examples == 40
    assert seeds.seeds(3) == [0, 1, 2]


def test_a_seed_draws_other_examples_ten_times_as_many_and_the_same_again(monkeypatch):
    monkeypatch.setattr(seeds, "SEED", 5)
    monkeypatch.setattr(seeds, "TIMES", 10)
    assert seeds.examples(40).max_examples == 400
    first, again = seeds.seeds(30), seeds.seeds(30)
    assert first == again
    assert len(set(first)) == len(first) == 300
    monkeypatch.setattr(seeds, "SEED", 6)
    assert seeds.seeds(30)[30:] != first[30:]


def test_what_is_above_the_quick_number_is_slow():
    first, second, *marked = seeds.seeds(5, quick=2)[:5]
    assert (first, second, [parameter.values[0] for parameter in marked]) == (0, 1, [2, 3, 4])
    assert all(mark.name == "slow" for parameter in marked for mark in parameter.marks)


@pytest.mark.slow
def test_a_run_with_a_seed_prints_it_and_draws_by_it(tmp_path):
    (tmp_path / "test_drawn.py").write_text(
        "from hypothesis import given, strategies as st\n"
        "@given(st.integers())\ndef test_numbers(number):\n    print('drew', number)\n",
        encoding="utf-8",
    )

    def drawn(seed: str) -> list[str]:
        command = [sys.executable, "-m", "pytest", "-s", "-p", "tests.conftest", "-p", "no:cacheprovider", "-n0"]
        done = subprocess.run(
            [*command, f"--hypothesis-seed={seed}", "--rootdir", tmp_path, "-c", "/dev/null", tmp_path],
            env={"ATB_TEST_SEED": seed, "PYTHONPATH": str(seeds.REPOSITORY)}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert f"seed {seed}, ten times as many; the same again: make test-all SEED={seed}" in done.stdout
        return re.findall(r"drew (-?\d+)", done.stdout)

    first = drawn("11")
    assert len(first) == 1_000
    assert drawn("11") == first


def test_no_test_draws_by_a_way_of_its_own(repository):  # but strategies that cheat by throwing coins do
    own = re.compile(r"max_examples=|derandomize=|\bhypothesis\.seed\b|default_rng\(\)|random\.seed\(\)|Random\(\)")
    found = {
        str(file.relative_to(repository)): own.findall(text)
        for file in sorted((repository / "tests").rglob("*.py"))
        if file.name not in {"seeds.py", "test_seeds.py", "biased_strategies.py"}
        and own.search(text := file.read_text(encoding="utf-8"))
    }
    assert found == {}, "use tests.seeds: examples(COUNT), seeds(COUNT)"
