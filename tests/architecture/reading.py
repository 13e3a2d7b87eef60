"""The imports of a package, read from its source without running it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

parsed = cache(ast.parse)


@dataclass(frozen=True, order=True)
class Import:
    """module: the one that imports, in full. of: what it imports, in full; a submodule where there is one."""

    module: str
    of: str


def sources(package: Path) -> dict[str, str]:
    """The text of each module of a package, by its full name."""
    found: dict[str, str] = {}
    for file in sorted(package.rglob("*.py")):
        name = ".".join(file.relative_to(package.parent).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = file.read_text(encoding="utf-8")
    return found


def imports(modules: dict[str, str]) -> set[Import]:
    """Every import of every module: at its top, in a function, for types alone, or as the text of `import_module`.

    `from a import b` imports `a.b` where that is a module, else `a`. Raises `ValueError` for a relative import.
    """
    return {Import(module, of) for module, text in modules.items() for of in _of(module, text, modules)}


def _of(module: str, text: str, modules: dict[str, str]) -> Iterator[str]:
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module}, line {node.lineno}: a relative import")
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in modules else str(node.module)
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def public_names(text: str) -> Iterator[str]:
    """The names that a module defines at its top, without those that begin with an underscore."""
    for node in parsed(text).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names = [node.name]
        elif isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names = [node.target.id]
        else:
            names = []
        yield from (name for name in names if not name.startswith("_"))


def circles(modules: dict[str, str]) -> list[list[str]]:
    """Modules that import each other, however indirectly: each group sorted."""
    onward: dict[str, set[str]] = {module: set() for module in modules}
    for found in imports(modules):
        if found.of in modules:
            onward[found.module].add(found.of)
    reached = {module: _reached(module, onward) for module in modules}
    groups = {tuple(sorted(b for b in reached[a] if a in reached[b])) for a in modules if a in reached[a]}
    return [list(group) for group in sorted(groups)]


def _reached(module: str, onward: dict[str, set[str]]) -> set[str]:
    """The modules that a module imports, and those that they do, and so on."""
    found: set[str] = set()
    ahead = set(onward[module])
    while ahead:
        found |= ahead
        ahead = {far for near in ahead for far in onward[near]} - found
    return found
