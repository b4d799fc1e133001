"""`atb dashboards`: it comes after a runner on the same machine."""

import os

import pytest

from atb.cli.dashboards import NICER, _come_after_runners


def refuse(_steps):
    raise PermissionError


@pytest.mark.parametrize("nice", [refuse, None])
def test_a_system_without_priorities_is_no_reason_not_to_serve(monkeypatch, nice):
    monkeypatch.setattr(os, "nice", nice) if nice else monkeypatch.delattr(os, "nice")
    _come_after_runners()


def test_a_runner_comes_first(monkeypatch):
    asked = []
    monkeypatch.setattr(os, "nice", asked.append)
    _come_after_runners()
    assert asked == [NICER]
