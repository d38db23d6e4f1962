"""The native code under sanitizers: it must touch no memory but its own, and do nothing undefined.

    python tests/sanitize.py                        each part, some 20 seconds for each target
    python tests/sanitize.py --seconds 1800 jpeg    30 minutes of fuzzing of the JPEG code

jpeg, dct, png, tar   arbitrary bytes for the code that reads files (libFuzzer; AddressSanitizer, UBSan)
module       tests of what sees bytes of files, with a module that is built for AddressSanitizer and UBSan
arena        threads that play trainer, workers and nursery (ThreadSanitizer)

It needs clang, g++ and the headers of zlib. What the fuzzer finds is left in the folder that `--corpus`
names, together with the inputs that cover the code; another run goes on from these.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parent
SOURCES = TESTS / "fuzz"
BUILD = ["-std=c++17", "-g", "-O1", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
ADDRESS = "-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g"
OF_FILES = (
    *("test_decode.py", "test_decode_crops.py", "test_jpeg_damage.py", "test_transcode.py"),
    *("test_dct_frames.py", "test_fused.py", "test_pngs.py"),
    *(
        "test_damaged_tars.py",
        "test_odd_files.py",
        "test_arena.py",
        "test_byte_slots.py",
        "test_resample.py",
        "test_warps.py",
        "test_native_filters.py",
    ),
)
LEAKS = {"ASAN_OPTIONS": "detect_leaks=0"}  # the interpreter leaves memory behind


def run(*command, **given):
    """Run a command, which must end well."""
    shown = " ".join(map(str, command))
    print(f"+ {shown}", file=sys.stderr, flush=True)  # noqa: T201 - a command
    subprocess.run(list(map(str, command)), check=True, env={**os.environ, **given})


def fuzz(name, folder, given):
    """Build a target, and give it seeds, what was found before, and what it makes of them."""
    target, seeds = folder / name, folder / "seeds"
    corpus = (given.corpus or folder) / f"{name}_corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    sanitizers = "-fsanitize=fuzzer,address,undefined"
    run("clang++", *BUILD, sanitizers, SOURCES / f"{name}.cpp", "-ljpeg", "-lz", "-o", target)
    known = []
    if name in ("jpeg", "dct", "png"):
        run(sys.executable, SOURCES / "seeds.py", seeds, name)
        known = [seeds, SOURCES / "findings"] if name == "jpeg" else [seeds]
    limits = [f"-max_total_time={given.seconds}", "-rss_limit_mb=2048", "-timeout=25", "-verbosity=0"]
    found = f"-artifact_prefix={corpus}/found-"
    run(target, *limits, "-print_final_stats=1", found, corpus, *known)


def check_module(folder):
    """Build and install the package for the sanitizers beside what is installed here, and run tests."""
    python = folder / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", folder / "venv")
    packages = folder / "venv" / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    flags = {"CMAKE_CXX_FLAGS": ADDRESS, "CMAKE_CXX_FLAGS_RELEASE": "-O1"}
    defined = [f"--config-settings=cmake.define.{name}={value}" for name, value in flags.items()]
    run(python, "-m", "pip", "install", "-q", "--no-deps", *defined, TESTS.parent)
    # Ahead of all else, so that they see every allocation; libstdc++ too, so that they see its exceptions.
    asked = ["g++", "-print-file-name=libasan.so", "-print-file-name=libstdc++.so"]
    loaded = [subprocess.check_output([asked[0], name], text=True).strip() for name in asked[1:]]
    tests = [TESTS / name for name in OF_FILES]
    options = ["-q", "-x", "--capture=sys", "-p", "no:cacheprovider", "-c", TESTS.parent / "pyproject.toml"]
    os.chdir(folder)
    run(python, "-m", "pytest", *options, *tests, LD_PRELOAD=" ".join(loaded), **LEAKS)


def stress_arena(folder, given):
    """Build the arena's stress test and run it."""
    run("g++", *BUILD, "-fsanitize=thread", SOURCES / "arena.cpp", "-o", folder / "arena")
    run(folder / "arena", given.seconds, TSAN_OPTIONS="halt_on_error=1")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="jpeg, dct, png, tar, module, arena; by default all"
    )
    parser.add_argument("--seconds", type=int, default=20, help="for each target")
    parser.add_argument("--corpus", type=Path, help="folder of inputs, kept; by default a temporary one")
    given = parser.parse_args()
    if unknown := {*given.parts} - {"jpeg", "dct", "png", "tar", "module", "arena"}:
        parser.error(f"no part is called {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as temporary:
        for part in given.parts or ("arena", "tar", "png", "dct", "jpeg", "module"):
            folder = Path(temporary) / part
            folder.mkdir()
            if part == "module":
                check_module(folder)
            elif part == "arena":
                stress_arena(folder, given)
            else:
                fuzz(part, folder, given)


if __name__ == "__main__":
    main()
