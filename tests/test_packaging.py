"""The wheel as users get it: pure Python, whole, and it runs where it is installed."""

import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"edgesam", "edgesam_export", "edgesam_kernels", "edgesam_bench"}

pytest.importorskip("build")
pytest.importorskip("hatchling")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = out.glob("*.whl")
    return built


def test_the_wheel_runs_on_any_platform(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_wheel_holds_our_packages_and_nothing_compiled(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == PACKAGES
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    suffixes = {Path(name).suffix for name in names if ".dist-info" not in name}
    assert suffixes <= {".py", ".typed", ".json", ".cu", ".cuh"}
    assert any(name.endswith("licenses/NOTICE") for name in names)


def test_every_module_of_the_tree_is_in_the_wheel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for folder in ("edgesam", "export", "kernels", "bench/edgesam_bench"):
        above = ROOT / folder if folder in ("export", "kernels") else (ROOT / folder).parent
        sources = (ROOT / folder).rglob("*.cu*")
        for module in (*(ROOT / folder).rglob("*.py"), *sources):
            assert module.relative_to(above).as_posix() in names


def test_a_fresh_environment_runs_the_command(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    python = str(scripts / "python")
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    purelib = subprocess.check_output(
        [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"], text=True
    ).strip()
    # The dependencies are lent by the environment the tests run in; edgesam itself is not.
    (Path(purelib) / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")

    where = "import edgesam, edgesam_export, edgesam_bench; print(edgesam.__file__)"
    found = subprocess.check_output([python, "-c", where], text=True, cwd=tmp_path).strip()
    assert Path(found).is_relative_to(tmp_path)
    listed = subprocess.run(
        [str(scripts / "edgesam"), "models", "--json"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert "lite-medsam" in listed.stdout
    helped = subprocess.check_output([str(scripts / "edgesam"), "--help"], text=True, cwd=tmp_path)
    assert all(command in helped for command in ("models", "segment", "doctor", "pull", "export"))


def test_no_extra_brings_both_onnxruntimes_or_a_framework() -> None:
    tomllib = pytest.importorskip("tomllib", reason="needs Python 3.11")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    for requirements in [project["dependencies"], *extras.values()]:
        joined = " ".join(requirements)
        assert "torch" not in joined
        assert not ("onnxruntime>" in joined and "onnxruntime-gpu" in joined)
