"""What is said where Ray is not installed."""

import importlib
import sys

import pytest

import fastclips as fc
from fastclips.commands.cli import main
from fastclips.errors import OptionError


@pytest.fixture
def no_ray(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("fastclips.adapters.ray")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ray", None)


def test_the_adapter(no_ray):  # noqa: ARG001 - it is gone
    with pytest.raises(ImportError, match=r"this needs Ray: pip install 'fastclips\[ray\]'"):
        importlib.import_module("fastclips.adapters.ray")


def test_packing(no_ray, frames, tmp_path, capsys):  # noqa: ARG001 - it is gone
    assert main(["pack", str(frames), str(tmp_path / "packed"), "--ray", "auto"]) != 0
    assert "--ray 'auto': this needs Ray: pip install 'fastclips[ray]'" in capsys.readouterr().err
    assert not (tmp_path / "packed").exists()


def test_workers_of_another_kind(frames, tmp_path):
    with pytest.raises(OptionError, match="workers='many'"):
        fc.pack(frames, tmp_path / "packed", workers="many")


def test_other_workers_make_the_same_pack(frames, tmp_path):
    class Caller:
        """Does the work in the caller."""

        def do_tasks(self, job, tasks):
            return map(job.doer(), tasks)

    for name, workers in (("own", 0), ("other", Caller())):
        fc.pack(frames, tmp_path / name, workers=workers, shard_size="20KiB")
    own, other = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()} for name in ("own", "other")
    )
    assert own == other
