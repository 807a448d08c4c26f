"""How much memory is ours: the machine's, or less where a container or a batch system says so."""

import pytest

from loce_jax.analysis import memory_limit as machine

GIGABYTE = 10**9


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A made-up system: call it with what the process's groups are and what limits the files hold."""

    def make(ours, limits):
        (tmp_path / "ours").write_text(ours)
        for name, limit in limits.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{limit}\n")

    monkeypatch.setattr(machine, "_OURS", tmp_path / "ours")
    monkeypatch.setattr(machine, "_CGROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 64 * 10**6 if name == "SC_PHYS_PAGES" else 1000)
    return make


FIRST = "9:name=systemd:/job/step\n4:cpu,memory:/job/step\n"


@pytest.mark.parametrize(
    ("ours", "limits", "expected"),
    [
        ("0::/\n", {"memory.max": 2 * GIGABYTE}, 2 * GIGABYTE),
        ("0::/\n", {"memory.max": "max"}, 64 * GIGABYTE),
        ("0::/\n", {"memory.max": 900 * GIGABYTE}, 64 * GIGABYTE),
        ("0::/job/step\n", {"job/memory.max": 3 * GIGABYTE, "job/step/memory.max": "max"}, 3 * GIGABYTE),
        ("0::/job\n", {"other/memory.max": GIGABYTE, "job/memory.max": 5 * GIGABYTE}, 5 * GIGABYTE),
        (FIRST, {"memory/job/step/memory.limit_in_bytes": GIGABYTE}, GIGABYTE),
        (
            FIRST,
            {"memory/memory.limit_in_bytes": 2 * GIGABYTE},
            2 * GIGABYTE,
        ),  # a container that sees its own group only
        (FIRST, {"memory/memory.limit_in_bytes": 2**63 - 4096}, 64 * GIGABYTE),
        ("1:cpu:/job\n", {"memory/job/memory.limit_in_bytes": GIGABYTE}, 64 * GIGABYTE),
        ("", {}, 64 * GIGABYTE),
    ],
)
def test_the_least_limit_holds(groups, ours, limits, expected):
    groups(ours, limits)
    assert machine.memory_limit() == expected


def test_a_system_without_groups(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_OURS", tmp_path / "nothing")
    assert machine.memory_limit() > 0
