"""Which rank this process is, told by the environment of its launcher."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import make_loader

from fastclips.errors import OptionError
from fastclips.planning import launchers
from fastclips.planning.launchers import resolve_rank


def tf_config(kind="worker", index=0, **cluster):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})}


TORCH = {"RANK": "3", "WORLD_SIZE": "8"}
HOROVOD = {"HOROVOD_RANK": "1", "HOROVOD_SIZE": "2"}
OPEN_MPI = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4"}
PMI = {"PMI_RANK": "0", "PMI_SIZE": "3"}
SLURM = {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
WORKERS = {"worker": ["a:1", "b:1"]}


@pytest.fixture
def launched(monkeypatch):
    """Return a function that sets the environment of a launcher, in a process that has not warned yet."""
    monkeypatch.setattr(launchers, "_warned", False)
    for variables in (TORCH, HOROVOD, OPEN_MPI, PMI, SLURM, {"TF_CONFIG": ""}):
        for name in variables:
            monkeypatch.delenv(name, raising=False)

    def launch(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return launch


@pytest.mark.parametrize(
    ("variables", "expected", "source"),
    [
        (TORCH, (3, 8), "RANK and WORLD_SIZE"),
        (HOROVOD, (1, 2), "HOROVOD_RANK and HOROVOD_SIZE"),
        (OPEN_MPI, (2, 4), "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE"),
        (PMI, (0, 3), "PMI_RANK and PMI_SIZE"),
        (SLURM, (0, 1), "SLURM_PROCID and SLURM_NTASKS"),
        (tf_config("worker", 1, **WORKERS), (1, 2), "TF_CONFIG"),
        (tf_config("chief", 0, chief=["c:1"], **WORKERS), (0, 3), "TF_CONFIG"),
        (tf_config("worker", 1, chief=["c:1"], ps=["p:1"], **WORKERS), (2, 3), "TF_CONFIG"),
        (SLURM | TORCH | {"TF_CONFIG": "{}"}, (3, 8), "RANK and WORLD_SIZE"),
        (SLURM | tf_config("worker", 1, **WORKERS), (1, 2), "TF_CONFIG"),
        ({"RANK": "5", "TF_CONFIG": "{}"} | SLURM, (0, 1), "SLURM_PROCID and SLURM_NTASKS"),
    ],
)
def test_launchers(launched, caplog, variables, expected, source):
    launched(variables)
    caplog.set_level(logging.INFO, "fastclips")
    assert resolve_rank("env", None) == expected
    assert resolve_rank("env", expected[1]) == expected
    assert caplog.messages == [f"rank {expected[0]} of {expected[1]}, from {source}"] * 2


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {},
            (
                'rank="env": found none of RANK and WORLD_SIZE, HOROVOD_RANK and HOROVOD_SIZE, '
                "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE, PMI_RANK and PMI_SIZE, SLURM_PROCID and "
                "SLURM_NTASKS, TF_CONFIG, and no ranks of ray.train, jax.distributed or torch.distributed; "
                "pass rank= and world= as numbers"
            ),
        ),
        ({"RANK": "8", "WORLD_SIZE": "8"}, "RANK=8: must be below WORLD_SIZE=8; ranks count from 0"),
        ({"RANK": "0", "WORLD_SIZE": "0"}, "WORLD_SIZE=0: must be an integer from 1 to 2147483647"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "RANK='one' and WORLD_SIZE='2': must be integers from 0"),
        ({"PMI_RANK": "-1", "PMI_SIZE": "2"}, "PMI_RANK='-1' and PMI_SIZE='2': must be integers from 0"),
        (tf_config("worker", 2, **WORKERS), "TF_CONFIG's rank=2: must be below tasks=2; ranks count from 0"),
        (
            tf_config("ps", 0, ps=["p:1"], **WORKERS),
            "TF_CONFIG: a task of type 'ps' reads no clips; only chief and worker do",
        ),
        (
            {"TF_CONFIG": "nonsense"},
            (
                "TF_CONFIG='nonsense': must be JSON with a cluster and a task "
                "(Expecting value: line 1 column 1 (char 0))"
            ),
        ),
        (
            {"TF_CONFIG": "[]"},
            "TF_CONFIG='[]': must be JSON with a cluster and a task ('list' object has no attribute 'get')",
        ),
    ],
)
def test_launchers_refuse(launched, variables, message):
    launched(variables)
    with pytest.raises(OptionError) as error:
        resolve_rank("env")
    assert str(error.value) == message


def test_world_that_the_launcher_contradicts(launched):
    launched(TORCH)
    with pytest.raises(OptionError) as error:
        resolve_rank("env", 4)
    assert str(error.value) == (
        "world=4: must be 8 by RANK and WORLD_SIZE; leave world= out, or pass rank= as a number"
    )


def test_numbers_ignore_the_environment(launched):
    launched(TORCH)
    assert resolve_rank(0) == (0, 1)
    assert resolve_rank(np.int64(1), np.int64(2)) == (1, 2)


@pytest.mark.parametrize(
    ("rank", "world", "message"),
    [
        (1, None, "rank=1: needs world=, the number of ranks"),
        (2, 2, "rank=2: must be below world=2; ranks count from 0"),
        (0, 0, "world=0: must be an integer from 1 to 2147483647"),
        (-1, 2, "rank=-1: must be an integer from 0 to 2147483647"),
        ("auto", 2, "rank='auto': must be a number, \"env\" or None"),
    ],
)
def test_numbers_that_cannot_be(rank, world, message):
    with pytest.raises(OptionError) as error:
        resolve_rank(rank, world)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("variables", "where", "rank", "world"),
    [
        (TORCH, "RANK and WORLD_SIZE", 3, 8),
        (OPEN_MPI, "OMPI_COMM_WORLD_RANK and OMPI_COMM_WORLD_SIZE", 2, 4),
        (PMI, "PMI_RANK and PMI_SIZE", 0, 3),
        ({"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}, "SLURM_PROCID and SLURM_NTASKS", 1, 2),
        (tf_config("worker", 1, **WORKERS), "TF_CONFIG", 1, 2),
    ],
)
def test_a_rank_that_was_forgotten_warns_once(launched, frames, variables, where, rank, world):
    launched(variables)
    message = (
        f"^this process is rank {rank} of {world} by {where}, but the loader has no rank= and reads as "
        f"rank 0 of 1: all {world} processes train on the same clips; "
    )
    with pytest.warns(UserWarning, match=message + 'pass rank="env" .*rank=0, world=1') as caught:
        loader = make_loader(frames)
    assert caught[0].filename == make_loader.__code__.co_filename
    assert (loader.rank, loader.world) == (0, 1)
    make_loader(frames)  # warnings are errors here


@pytest.mark.parametrize(
    "variables",
    [
        {},
        SLURM,
        {"RANK": "0", "WORLD_SIZE": "1", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},  # the inner one knows
        {"RANK": "3"},
        {"RANK": "first", "WORLD_SIZE": "8"},
        {"TF_CONFIG": "{"},
        tf_config("evaluator", 0, **WORKERS),
    ],
)
def test_no_warning_where_no_rank_is_missing(launched, variables):
    launched(variables)
    assert resolve_rank() == (0, 1)


@pytest.mark.parametrize("options", [{"rank": 0}, {"rank": 0, "world": 1}, {"rank": "env"}])
def test_a_rank_that_was_given_never_warns(launched, frames, options):
    launched(TORCH)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loader = make_loader(frames, **options)
    assert (loader.rank, loader.world) == ((3, 8) if options["rank"] == "env" else (0, 1))


def test_a_forgotten_rank_reads_the_same_plan_as_rank_0(frames):
    assert make_loader(frames).state_dict() == make_loader(frames, rank=0, world=1).state_dict()
    assert make_loader(frames, world=2).state_dict() == make_loader(frames, rank=0, world=2).state_dict()


# Libraries that know the ranks


def pretend(**contents):
    """A library that was imported."""
    return SimpleNamespace(**contents)


def ray_worker(monkeypatch, mode):
    worker = pretend(worker=pretend(mode=mode))
    ray = pretend(is_initialized=lambda: True, get_runtime_context=lambda: worker, WORKER_MODE=1)
    context = pretend(get_world_rank=lambda: 2, get_world_size=lambda: 5)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setitem(sys.modules, "ray.train", pretend(get_context=lambda: context))


def jax_process(monkeypatch, client):
    state = pretend(client=client, process_id=1, num_processes=4)
    monkeypatch.setitem(sys.modules, "jax._src.distributed", pretend(global_state=state))


def torch_group(monkeypatch, made):
    calls = {"is_available": True, "is_initialized": made, "get_rank": 1, "get_world_size": 2}
    functions = {name: partial(lambda value: value, value) for name, value in calls.items()}
    monkeypatch.setitem(sys.modules, "torch.distributed", pretend(**functions))


@pytest.mark.parametrize(
    ("library", "known", "unknown", "expected", "source"),
    [
        (ray_worker, 1, 0, (2, 5), "ray.train"),
        (jax_process, object(), None, (1, 4), "jax.distributed"),
        (torch_group, True, False, (1, 2), "torch.distributed"),
    ],
)
def test_libraries(launched, monkeypatch, caplog, library, known, unknown, expected, source):
    launched(SLURM)
    library(monkeypatch, unknown)
    assert resolve_rank("env") == (0, 1)
    library(monkeypatch, known)
    caplog.set_level(logging.INFO, "fastclips")
    assert resolve_rank("env") == expected
    assert caplog.messages == [f"rank {expected[0]} of {expected[1]}, from {source}"]


def test_a_library_that_is_half_imported(launched, monkeypatch):
    launched(TORCH)
    monkeypatch.setitem(sys.modules, "ray.train", pretend())
    monkeypatch.setitem(sys.modules, "torch.distributed", pretend())
    assert resolve_rank("env") == (3, 8)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "3"}, 'rank="env": RANK is set, and WORLD_SIZE is missing; set both, or pass rank= and'),
        ({"SLURM_NTASKS": "2"}, "SLURM_NTASKS is set, and SLURM_PROCID is missing"),
    ],
)
def test_half_of_a_pair_is_named(launched, variables, message):
    launched(variables)
    with pytest.raises(OptionError, match=message):
        resolve_rank("env")
