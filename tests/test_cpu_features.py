"""Epochs have the same bits on every CPU: with instructions of this one switched off, all digests stay."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from reference_epochs import DEPENDS_ON_CPU

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "reference_epochs.py"
OFF = {
    "OpenCV": {"OPENCV_CPU_DISABLE": "AVX512_SKX,AVX2,FP16,AVX,SSE4_2,SSE4_1"},
    "NumPy": {"NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX AVX2 FMA3"},
    "numba": {"NUMBA_CPU_NAME": "generic"},
    "fastclips": {"FASTCLIPS_CPU_DISABLE": "AVX2,PDEP,SSE4_2"},
    "libjpeg-turbo": {"JSIMD_FORCENONE": "1"},
    "the C library": {
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2_Usable,-FMA_Usable,-AVX2,-FMA,-FMA4",
        "OPENBLAS_CORETYPE": "Prescott",
    },
}


def digests(cache, environment):
    done = subprocess.run(
        [sys.executable, SCRIPT, "--print"],
        env={**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    pytest.importorskip("tensorflow", reason="recipes of compat need Keras")
    pytest.importorskip("av", reason="video extra")
    return digests(tmp_path_factory.mktemp("numba"), {})


def test_no_bit_depends_on_the_cpu(here, tmp_path):
    """All libraries at once, since a run takes half a minute."""
    there = digests(tmp_path, {name: value for off in OFF.values() for name, value in off.items()})
    different = {name for name, found in here.items() if there[name] != found}
    assert different <= DEPENDS_ON_CPU, f"without wide instructions: {sorted(different)}"
