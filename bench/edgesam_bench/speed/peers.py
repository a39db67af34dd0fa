"""Who is measured beside edgesam, and why one cannot be. Knows programs and files, no figure."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesam.checkpoint_store import checkpoint_path
from edgesam.digest import sha256_of
from edgesam.manifest import Manifest
from edgesam.models import MODELS

PEERS = ("torch", "onnxruntime-plain", "openvino-plain", "openvino-plain-f32", "samexporter")

REFERENCE = Path(__file__).parents[2] / "reference"  # of the repository; no wheel has it


@dataclass(frozen=True)
class Peer:
    """A peer that was asked for.

    Attributes:
        name: one of :data:`PEERS`.
        command: that starts its program, or None.
        reason: why there is none, in one line.
        about: what it says of itself once it is loaded: ``version``, ``precision``, ``selects``.
    """

    name: str
    command: tuple[str, ...] | None
    reason: str | None = None
    about: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Place:
    """Where peers find what they need.

    Attributes:
        manifest: of the bundle that edgesam runs.
        picture: a file that Pillow reads.
        python: of an environment with the official code, or None.
        graphs: the folder that keeps exported graphs.
        threads: None leaves it to each.
    """

    manifest: Manifest
    picture: Path
    python: str | None
    graphs: Path
    threads: int | None

    def peer(self, name: str) -> Peer:
        """The peer of that name, ready to be started, or the reason why not."""
        try:
            return Peer(name, self._command(name))
        except _Unavailable as reason:
            return Peer(name, None, str(reason))

    def _command(self, name: str) -> tuple[str, ...]:
        threads = "default" if self.threads is None else str(self.threads)
        if name == "samexporter":
            if importlib.util.find_spec("samexporter") is None:
                raise _Unavailable("not installed")
            raise _Unavailable("not measured: its graphs are those of onnxruntime-plain")
        model, picture = self.manifest.model, str(self.picture)
        if name == "torch":
            script = str(self._script("serve_official.py"))
            return (self._python(), script, picture, str(self._checkpoint()), model, threads)
        package = name.partition("-")[0]
        if importlib.util.find_spec(package) is None:
            raise _Unavailable(f"not installed: needs the package {package}")
        graphs = str(self._exported())
        module = "edgesam_bench.speed.plain"
        return (sys.executable, "-m", module, picture, graphs, model, name, threads)

    def _python(self) -> str:
        if self.python is not None:
            return self.python
        if importlib.util.find_spec("torch") is None:
            raise _Unavailable(
                "not installed: --reference-python names an environment with the official code"
            )
        return sys.executable

    def _script(self, name: str) -> Path:
        script = REFERENCE / name
        if not script.is_file():
            raise _Unavailable("not installed: needs the repository's bench/reference")
        return script

    def _checkpoint(self) -> Path:
        """The official file that the bundle was made of."""
        model = self.manifest.model
        if model not in MODELS:
            raise _Unavailable(f"not measured: no official checkpoint is known for {model}")
        path = checkpoint_path(MODELS[model])
        if not path.is_file():
            raise _Unavailable(f"not measured: no checkpoint. Try: edgesam pull {model}")
        if sha256_of(path) != self.manifest.checkpoint_sha256:
            raise _Unavailable(f"not measured: the bundle was not made of {path}")
        return path

    def _exported(self) -> Path:
        """The folder of this model's plain graphs, which are written the first time."""
        model = self.manifest.model
        folder = self.graphs / f"{model}-{self.manifest.checkpoint_sha256[:8]}"
        done = folder / ".exported"
        if done.is_file():
            return folder
        command = [self._python(), str(self._script("export_plain.py")), "--model", model]
        command += ["--checkpoint", str(self._checkpoint()), "--out", str(folder)]
        folder.mkdir(parents=True, exist_ok=True)
        try:
            ended = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            raise _Unavailable(f"no graphs: cannot run {command[0]} ({error.strerror})") from None
        if ended.returncode:
            last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
            raise _Unavailable(f"no graphs: the export failed: {last}")
        done.touch()
        return folder


class _Unavailable(Exception):
    """Its text is the reason."""
