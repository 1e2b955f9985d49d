"""Where the tests keep what they download, outside the checkout, and how they find Java and Maven."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.services.process import CannotServe, run

_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>tocsin</groupId><artifactId>tests</artifactId><version>1</version><dependencies>{}</dependencies></project>"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


def folder() -> Path:
    """Return the cache folder, made if need be: `tocsin-tests` under XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(base).expanduser() / "tocsin-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


def java_home(least: int) -> Path:
    """Return the home of a Java of at least that version, from ES_JAVA_HOME, JAVA_HOME or /usr/lib/jvm."""
    for home in _homes():
        if (home / "bin" / "java").exists() and _version(home) >= least:
            return home
    raise CannotServe(
        f"needs Java {least} or newer, found by ES_JAVA_HOME, JAVA_HOME or under /usr/lib/jvm "
        f"({'apt-get install openjdk-17-jre-headless' if least <= 17 else 'a JDK 21+, e.g. Temurin'})"
    )


def _homes() -> Iterator[Path]:
    for name in ("ES_JAVA_HOME", "JAVA_HOME"):
        if os.environ.get(name):
            yield Path(os.environ[name])
    yield from sorted(Path("/usr/lib/jvm").glob("*"), reverse=True)


def _version(home: Path) -> int:
    release = home / "release"
    if release.exists():
        stated = re.search(r'^JAVA_VERSION="(\d+)', release.read_text("utf-8"), re.MULTILINE)
        if stated:
            return int(stated[1])
    try:
        told = subprocess.run([str(home / "bin" / "java"), "-version"], capture_output=True, text=True, check=False)
    except OSError:
        return 0
    found = re.search(r'version "(\d+)', told.stderr)
    return int(found[1]) if found else 0


def maven_libraries(name: str, *artifacts: tuple[str, str, str]) -> Path:
    """Return a cached folder with the artifacts (group, name, version) and all that they need, as jars."""
    wanted = folder() / name
    if not wanted.exists():
        dependencies = "".join(_DEPENDENCY.format(*artifact) for artifact in artifacts)
        with tempfile.TemporaryDirectory(dir=folder()) as work:
            (Path(work) / "pom.xml").write_text(_POM.format(dependencies), "utf-8")
            _maven("-f", f"{work}/pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={work}/libs")
            _settle(Path(work) / "libs", wanted)
    return wanted


def maven_file(name: str, artifact: str) -> Path:
    """Return a cached file, `group:name:version:type` in Maven's words."""
    wanted = folder() / name
    if not wanted.exists():
        with tempfile.TemporaryDirectory(dir=folder()) as work:
            _maven("dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={work}")
            (found,) = Path(work).iterdir()
            _settle(found, wanted)
    return wanted


def _settle(made: Path, wanted: Path) -> None:
    """Give it its name only when whole; another process may have been faster, with the same content."""
    try:
        made.rename(wanted)
    except OSError:
        if not wanted.exists():
            raise


def _maven(*arguments: str) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise CannotServe("needs Maven to download it: apt-get install maven")
    try:
        run([maven, "--quiet", "--batch-mode", *arguments])
    except RuntimeError as fault:
        raise CannotServe(f"Maven could not download it: {str(fault)[-600:]}") from fault
