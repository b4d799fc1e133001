"""What a forge and an editor read: the workflow, the forms, the hooks before a commit; whole, and the same as the Makefile."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY

FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PAGES = [*FORMS, *(REPOSITORY / name for name in (".github/pull_request_template.md", "SECURITY.md"))]


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_every_change_is_checked_on_every_python_that_is_claimed():
    workflow = loaded(REPOSITORY / ".github/workflows/ci.yml")
    triggers = workflow[True]  # YAML reads the word `on` as true
    assert {"push", "pull_request"} <= set(triggers)
    test = workflow["jobs"]["test"]
    claimed = re.findall(r"Python :: (3\.\d+)", (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert test["strategy"]["matrix"]["python-version"] == claimed
    assert [step["run"] for step in test["steps"] if "run" in step] == [".ci/run"]
    assert (REPOSITORY / ".ci/run").stat().st_mode & 0o111


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_runs_actions_by_their_hash(path):
    workflow = loaded(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in job and job["timeout-minutes"] <= 360 for job in workflow["jobs"].values())
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", name)] == []
    checkouts = [step for step in steps(workflow) if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    # Text of whoever opens a pull request must not become part of a shell command.
    assert [step["run"] for step in steps(workflow) if "${{" in step.get("run", "")] == []


def test_the_workflow_calls_targets_that_the_makefile_has():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [step["run"] for path in WORKFLOWS for step in steps(loaded(path)) if "run" in step]
    called = [command.split()[1] for command in commands if command.startswith("make ")]
    assert called
    assert set(called) <= targets


def test_what_runs_before_a_commit_is_what_make_check_runs():
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    rule = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert rule is not None
    wanted = [line.strip().replace("$(BIN)", ".venv/bin") for line in rule[1].splitlines()]
    (repo,) = loaded(REPOSITORY / ".pre-commit-config.yaml")["repos"]
    assert repo["repo"] == "local"
    assert [hook["entry"] for hook in repo["hooks"]] == wanted
    assert all(hook["language"] == "system" and hook["always_run"] for hook in repo["hooks"])


@pytest.mark.parametrize("path", [path for path in FORMS if path.name != "config.yml"], ids=lambda path: path.name)
def test_a_form_asks_for_what_an_answer_needs(path):
    form = loaded(path)
    assert {"name", "description", "labels", "body"} == set(form)
    fields = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["attributes"]["label"] for part in fields)
    assert len({part["id"] for part in fields}) == len(fields)
    assert any(part.get("validations", {}).get("required") for part in fields)
    choices = [option for part in fields for option in part["attributes"].get("options", [])]
    assert all(isinstance(option, str) for option in choices)  # YAML reads a bare `no` as false


def test_there_is_a_form_for_a_bug_a_wish_and_a_venue_and_no_other_way():
    assert {path.stem for path in FORMS} == {"bug", "feature", "venue", "config"}
    assert loaded(REPOSITORY / ".github/ISSUE_TEMPLATE/config.yml")["blank_issues_enabled"] is False


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_no_form_or_page_names_a_person(path):
    assert re.findall(r"[\w.+-]+@[\w-]+\.\w+|(?<![\w/])@\w+", path.read_text(encoding="utf-8")) == []


def test_the_forms_lead_who_found_a_hole_to_the_security_page():
    texts = {path.stem: path.read_text(encoding="utf-8") for path in FORMS}
    assert all("SECURITY.md" in texts[name] for name in ("bug", "venue"))


def test_editors_are_told_the_widths_that_ruff_checks():
    # The part before the first section belongs to none.
    text = (REPOSITORY / ".editorconfig").read_text(encoding="utf-8")
    settings = configparser.ConfigParser()
    settings.read_string(f"[top]\n{text}")
    assert settings["top"]["root"] == "true"
    width = re.search(r"^line-length = (\d+)", (REPOSITORY / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    assert width is not None
    assert settings["*"]["max_line_length"] == width[1]
    assert settings["Makefile"]["indent_style"] == "tab"
