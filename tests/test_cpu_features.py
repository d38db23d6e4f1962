"""Epochs have the same bits on every CPU: with instructions of this one switched off, all digests stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__ as dispatched
from reference_data import copied
from reference_epochs import CHANGED, DATA, DEPENDS_ON_CPU, RECIPES, digest
from test_digest_table import DIGESTS, STORAGES

TESTS = Path(__file__).parent
OFF = {
    "OpenCV": {"OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,FP16,AVX,SSE4_2,SSE4_1", "OPENCV_IPP": "disabled"},
    # Names differ between versions, and NumPy ignores those that it does not know.
    "NumPy": {"NPY_DISABLE_CPU_FEATURES": " ".join(dispatched)},
    "numba": {"NUMBA_CPU_NAME": "generic"},
    "fastclips": {"FASTCLIPS_CPU_DISABLE": "AVX2,PDEP,SSE4_2"},
    "libjpeg-turbo": {"JSIMD_FORCENONE": "1"},
    "the C library": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-AVX2,-FMA,-FMA4",
        "OPENBLAS_CORETYPE": "Prescott",
    },
}


def run(script, *arguments, environment):
    """What a script prints where instructions are switched off."""
    done = subprocess.run(
        [sys.executable, TESTS / script, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout[done.stdout.index("{") :])


def test_the_table_is_the_same_without_wide_instructions():
    """All libraries at once, but for numba, which would compile all kernels anew."""
    off = {name: value for library, off in OFF.items() if library != "numba" for name, value in off.items()}
    assert run("test_digest_table.py", environment=off) == dict.fromkeys(STORAGES, DIGESTS)


@pytest.mark.slow
def test_no_bit_depends_on_the_cpu(tmp_path):
    """All libraries at once, since a run takes half a minute."""
    pytest.importorskip("tensorflow", reason="recipes of compat need Keras")
    pytest.importorskip("av", reason="video extra")
    known = {name: entry["sha256"] for name, entry in json.loads((DATA / "digests.json").read_text()).items()}
    known |= json.loads(CHANGED.read_text())
    off = {name: value for off in OFF.values() for name, value in off.items()}
    off["NUMBA_CACHE_DIR"] = str(tmp_path / "numba")
    there = run("reference_epochs.py", "--print", environment=off)
    root = copied(DATA, tmp_path / "data")
    # Some digests are of another FFmpeg, or of another CPU's optical flow.
    different = {
        name for name, found in there.items() if found != known[name] and found != digest(RECIPES[name](root))
    }
    assert different <= DEPENDS_ON_CPU, f"without wide instructions: {sorted(different)}"
