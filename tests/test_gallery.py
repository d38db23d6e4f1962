"""The scripts of docs/gallery run, and print what docs/gallery.md says.

The last word of a script's name is its group. The scripts of a group share a process, so that a framework is
imported once, and an empty folder, in which the first script makes data for others.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from helpers import run_python

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "docs/gallery").glob("*.py"))
SECTION = re.compile(
    r"^```\{literalinclude\} gallery/(\w+)\.py\n:language: python\n```\n\n.*?^```text\n(.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
SAYS = dict(SECTION.findall((ROOT / "docs/gallery.md").read_text()))
NEEDS = {"keras": "tensorflow", "kill": "numpy", "ray": "ray", "torch": "torch", "videos": "av"}  # by group
RUN = """
import os, runpy, sys
os.environ["OMP_NUM_THREADS"] = "1"  # more threads of torch wait for each other on a busy machine
for path in sys.argv[1:]:
    print(path, flush=True)
    sys.argv[1:] = []
    runpy.run_path(path, run_name="__main__")
"""


@pytest.mark.slow
@pytest.mark.parametrize("group", NEEDS)
def test_scripts_print_what_the_page_says(group, tmp_path):
    if find_spec(NEEDS[group]) is None:
        pytest.skip(f"needs {NEEDS[group]}")
    scripts = [path for path in SCRIPTS if path.stem.endswith(f"_{group}")]
    printed = run_python(RUN, *scripts, cwd=tmp_path)
    expected = "".join(f"{path}\n{SAYS[path.stem]}" for path in scripts)
    assert without_fractions(printed) == without_fractions(expected)


def without_fractions(text):
    """Losses and accuracies depend on the framework's version and on the CPU; whole numbers do not."""
    return re.sub(r"\d+\.\d+", "#", text)


def test_each_script_is_on_the_page():
    assert set(SAYS) == {path.stem for path in SCRIPTS}
    assert {path.stem.rpartition("_")[2] for path in SCRIPTS} == set(NEEDS)


@pytest.mark.parametrize("path", SCRIPTS, ids=[path.stem for path in SCRIPTS])
def test_a_script_is_short_and_says_what_it_shows(path):
    text = path.read_text()
    assert 30 <= len(text.splitlines()) <= 70
    assert re.match(r'"""[^\n]+\.\n\n.+?\n"""\n', text, re.DOTALL)
    assert "def main(data: str, epochs: int" in text
