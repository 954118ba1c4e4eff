"""The house rules that a reader cannot see at a glance: who may import whom, and what no file may do."""

import ast
import itertools
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[1] / "src" / "hilum"
ORDER = (
    ("errors", "files"),
    ("image", "models", "scoring"),
    ("study",),
    ("tasks",),  # the registry and the protocol alone; what they name for type checkers is not imported
    ("planning",),
    ("training",),
    ("inference",),
    ("ct",),
    ("measurement",),
    ("explanation",),
    ("reporting",),
    ("tasks.*",),
    ("exchange",),
    ("phantoms",),
    ("verbs",),
    ("service", "cluster", "studio", "options"),
    ("cli",),
)
LEVEL = {room: level for level, rooms in enumerate(ORDER) for room in rooms}
ALONE = ("image", "models", "scoring")
EARLY_TASKS = ("hilum.tasks", "hilum.tasks.task")
FILES = sorted(SOURCE.rglob("*.py"))


def module_of(path):
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def room_of(module):
    if module in EARLY_TASKS:
        return "tasks"
    parts = module.split(".")
    return "tasks.*" if parts[1] == "tasks" else parts[1]


def for_type_checkers(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports_of(tree, typing_too):
    """Names of imported Hilum modules, those within functions included."""
    stack = [tree]
    while stack:
        node = stack.pop()
        if for_type_checkers(node) and not typing_too:
            stack += node.orelse
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in MODULES else node.module for name in whole)
        stack += ast.iter_child_nodes(node)


def hilum_imports(path):
    typing_too = module_of(path) not in ("hilum", *EARLY_TASKS)
    found = imports_of(ast.parse(path.read_text(encoding="utf-8")), typing_too)
    return {name for name in found if name.startswith("hilum.")}


def rooms_and_imports():
    return [(path, module_of(path), hilum_imports(path)) for path in FILES]


def test_every_room_has_a_place_in_the_order():
    assert {room_of(name) for name in MODULES if name != "hilum"} <= set(LEVEL)


def test_a_later_station_may_import_an_earlier_one_never_the_reverse():
    wrong = [
        f"{module} imports {name}"
        for _, module, names in rooms_and_imports()
        for name in sorted(names)
        if module != "hilum" and LEVEL[room_of(name)] > LEVEL[room_of(module)]
    ]
    assert not wrong, "\n".join(wrong)


def test_neighbours_on_one_level_do_not_import_each_other():
    wrong = [
        f"{module} imports {name}"
        for _, module, names in rooms_and_imports()
        for name in sorted(names)
        if module != "hilum"
        and room_of(name) != room_of(module)
        and LEVEL[room_of(name)] == LEVEL[room_of(module)]
        and room_of(name) not in ORDER[0]
    ]
    assert not wrong, "\n".join(wrong)


def imports_of_room(room):
    return {
        name
        for _, module, names in rooms_and_imports()
        if module != "hilum" and room_of(module) == room
        for name in names
    }


@pytest.mark.parametrize("room", ALONE)
def test_image_models_and_scoring_import_no_other_room(room):
    assert {room_of(name) for name in imports_of_room(room)} <= {room, "errors", "files"}


def test_phantoms_need_nothing_of_what_they_are_meant_to_test():
    assert {room_of(name) for name in imports_of_room("phantoms")} <= {"phantoms", "image", "errors", "files"}


def calls(tree):
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def name_of(call):
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def is_false(keyword, name):
    return keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is False


def is_true(keyword, name):
    return keyword.arg == name and isinstance(keyword.value, ast.Constant) and keyword.value.value is True


@pytest.mark.parametrize("path", FILES, ids=lambda path: module_of(path))
def test_no_file_prints_pickles_or_swallows_errors(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [f"line {call.lineno}: print" for call in calls(tree) if name_of(call) == "print"]
    found += [
        f"line {call.lineno}: {ast.unparse(call.func)}"
        for call in calls(tree)
        if ast.unparse(call.func) in ("eval", "exec", "torch.load", "yaml.load")
    ]
    found += [
        f"line {call.lineno}: pickle allowed"
        for call in calls(tree)
        for keyword in call.keywords
        if is_true(keyword, "allow_pickle") or is_false(keyword, "weights_only")
    ]
    found += [
        f"line {call.lineno}: np.load without allow_pickle=False"
        for call in calls(tree)
        if ast.unparse(call.func) in ("np.load", "numpy.load")
        and not any(is_false(keyword, "allow_pickle") for keyword in call.keywords)
    ]
    found += [
        f"line {node.lineno}: imports {alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module if isinstance(node, ast.ImportFrom) else alias.name)
        in ("pickle", "dill", "joblib", "shelve", "marshal")
    ]
    found += [
        f"line {node.lineno}: catches everything"
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in ("Exception", "BaseException"))
    ]
    assert not found, f"{path}: {found}"


def test_no_file_is_much_longer_than_its_one_noun_needs():
    long = {module_of(path): length for path in FILES if (length := len(path.read_text().splitlines())) > 500}
    assert not long


def test_functions_stay_short():
    lengths = sorted(
        node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    )
    assert lengths[len(lengths) // 2] <= 15
    assert lengths[int(len(lengths) * 0.95)] <= 65


@pytest.mark.parametrize("path", FILES, ids=str)
def test_numpy_headers_are_read_by_one_thread_at_a_time(path):
    """`np.load` parses the header of an array: `image.arrays.load_array` holds the lock, others must."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for before, line in itertools.pairwise(["", *lines]):
        assert "np.load(" not in line or "NUMPY_HEADER" in before + line
