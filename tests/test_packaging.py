"""What is published besides the code: versions that must agree."""

import re
import tomllib
from pathlib import Path

import fastclips
from fastclips.commands.versions import lines

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_version_is_the_same_everywhere():
    assert PROJECT["project"]["version"] == fastclips.__version__
    assert f"\nversion: {fastclips.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert next(lines()) == f"fastclips {fastclips.__version__}"


def test_actions_are_pinned():
    """A tag of an action can be moved to other code, a commit cannot."""
    used = [line for path in WORKFLOWS for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    for line in used:
        assert re.fullmatch(r" +- uses: [\w.-]+/[\w.-]+@[0-9a-f]{40}  # v\d+(\.\d+)+", line), line


def test_workflows_look_at_the_oldest_opencv_and_every_python():
    test, publish = (
        (ROOT / ".github" / "workflows" / f"{name}.yml").read_text() for name in ("test", "publish")
    )
    [oldest] = [name for name in PROJECT["project"]["dependencies"] if name.startswith("opencv")]
    assert f'opencv: "=={oldest.partition(">=")[2]}.' in test
    built = PROJECT["tool"]["cibuildwheel"]
    pythons = [
        f"cp3{minor}-*" for minor in re.findall(r":: 3\.(\d+)\"", (ROOT / "pyproject.toml").read_text())
    ]
    assert built["build"] == pythons
    assert f"-eq {len(pythons) * len(built['archs'])}" in publish
