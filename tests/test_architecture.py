"""The house's walls that import-linter does not hold: sizes, first lines, print, and noun names."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("edgesam", "export/edgesam_export", "kernels/edgesam_kernels", "bench/edgesam_bench")
MODULES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
NAMES = [path.relative_to(ROOT).as_posix() for path in MODULES]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_a_module_is_small_and_says_what_it_is_for(path: Path) -> None:
    source = path.read_text("utf-8")
    tree = ast.parse(source)
    assert ast.get_docstring(tree), "the first line says what the module knows"
    assert len(source.splitlines()) <= 320, "past 300 lines a file asks to be split by noun"
    assert path.stem not in {"utils", "helpers", "misc", "common"}
    for function in functions(tree):
        body = function.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]  # the docstring
        lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
        assert lines <= 65, f"{function.name} has {lines} lines: split it"


@pytest.mark.parametrize("path", MODULES, ids=NAMES)
def test_only_commands_and_programs_print(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    prints = any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
        for node in ast.walk(tree)
    )
    relative = path.relative_to(ROOT)
    programs = "commands" in relative.parts or relative.parts[0] == "bench"
    assert not prints or programs or path.name == "__main__.py"


@pytest.mark.parametrize("folder", ["edgesam", "kernels/edgesam_kernels"])
def test_the_runtime_unpickles_and_evaluates_nothing(folder: str) -> None:
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] + [getattr(node, "module", "") or ""]
                assert not {"pickle", "marshal", "shelve"} & set(names), path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in {"eval", "exec"}, path


@pytest.mark.parametrize("folder", ["edgesam", "kernels/edgesam_kernels"])
def test_no_condition_is_entered_by_with(folder: str) -> None:
    """Its ``__enter__`` is Python, a lock's is not: a Ctrl-C between its lines leaves the lock
    taken, and other threads wait for good. ``with self._lock`` enters the same lock.
    """
    for path in (ROOT / folder).rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        conditions = {
            ast.unparse(target)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and "threading.Condition(" in ast.unparse(node.value)
            for target in node.targets
        }
        entered = {
            ast.unparse(item.context_expr)
            for node in ast.walk(tree)
            if isinstance(node, ast.With)
            for item in node.items
        }
        assert not conditions & entered, path
