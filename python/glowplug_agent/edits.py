"""Edits the syntax tree of a module so that imports, values and classes wait for their first use.

This file is joined with `annotations.py` and `compiler.py` into the program that compiles modules. What is to be done to
one file is

    {"support": "_glowplug_lazy",
     "names": [{"name": "pd", "clauses": [{"line": 7, "column": 0, "clause": 0, "submodule": null}],
                "statement": null, "set_up": [], "first": [], "then": [], "uses": [[12, 4]],
                "fstrings": [[13, 8]]}],
     "submodules": ["errors"], "borrowed": [["urllib", "parse"]],
     "weakened": [{"line": 8, "column": 0, "clause": 0, "submodule": null}],
     "listings": [[20, 27]], "listed_globals": [[24, 11]], "signatures": [[11, 18]],
     "texts": [[17, 13, "pd"]]}

Places are lines from 1 and columns in bytes of UTF-8, as `ast` has them. `submodule` is set where a
clause takes a submodule from its own package: asking the package for it would come back to us.
`statement` is the place of an assignment or a class that binds the name in the place of clauses, and `set_up` are
those of later statements that set up what it binds: they run with it. `first` are deferred names that have
to be there before a class is made.
`weakened` clauses, `import a.b`, go on as `import a`. `listings` are calls of `dir()` in the module's
body, `listed_globals` those of `globals()` in its `__dir__`: both must name what is deferred.
`signatures` are functions, and classes with variables, whose annotations are evaluated when they are first read, each
by the place of its first annotation. What is called in them, and whatever else does not only name things, is evaluated
where it stands. `texts` are functions whose annotations are text with a deferred name: who looks into
them may evaluate them, and finds the name.
"""

import sys

# The folder of this file: what lies there is not for us to import.
del sys.path[0]

import ast

_LOAD = "__gp_load__"
_IMPORT = "__gp_import__"
_CHAIN = "__gp_chain__"
_OURS = "__gp_getattr__"
_DIRECTORY = "__gp_dir__"
_ARGUMENT = "__gp_name__"
_TYPED = "__gp_typed__"
_NAMED = "__gp_named__"
_VARIABLES = "__gp_variables__"
_HELD = "__gp_held__"
_ANNOTATIONS = "__gp_annotations__"
_VALUE = "__gp_value__"


class EditError(Exception):
    """The edits do not fit the source."""


def flag(name):
    return "__gp_%s__" % name


def located(node, place):
    """Gives a node and everything in it the position of another."""
    for inner in ast.walk(node):
        if "lineno" in inner._attributes:
            ast.copy_location(inner, place)
    return node


class FirstUse(ast.IfExp):
    """What stands in the place of a deferred name."""


def first_use(name, place):
    """`pd if __gp_pd__ else __gp_load__("pd")`, at the place of the name."""
    expression = FirstUse(
        test=ast.Name(id=flag(name), ctx=ast.Load()),
        body=ast.Name(id=name, ctx=ast.Load()),
        orelse=ast.Call(func=ast.Name(id=_LOAD, ctx=ast.Load()), args=[ast.Constant(value=name)], keywords=[]),
    )
    return located(expression, place)


class Uses(ast.NodeTransformer):
    """Replaces the uses of deferred names."""

    def __init__(self, names):
        self.wanted = {(tuple(place), entry["name"]) for entry in names for place in entry["uses"]}
        self.strings = {}
        for entry in names:
            for place in entry["fstrings"]:
                self.strings.setdefault(tuple(place), set()).add(entry["name"])
        self.inside = set()

    def visit_Name(self, node):
        if not isinstance(node.ctx, ast.Load):
            return node
        key = ((node.lineno, node.col_offset), node.id)
        if node.id in self.inside:
            return first_use(node.id, node)
        if key in self.wanted and not self._in_string:
            self.wanted.discard(key)
            return first_use(node.id, node)
        return node

    _in_string = False

    def visit_JoinedStr(self, node):
        if self._in_string:
            return self.generic_visit(node)
        self._in_string = True
        self.inside = self.strings.pop((node.lineno, node.col_offset), set())
        self.generic_visit(node)
        self._in_string, self.inside = False, set()
        return node

    def check(self):
        left = sorted(self.wanted) + sorted((place, ", ".join(names)) for place, names in self.strings.items())
        if left:
            (line, column), name = left[0]
            raise EditError("`%s` is not used at line %d, column %d" % (name, line, column))


class Listings(ast.NodeTransformer):
    """Has calls that list the names of the module list the deferred ones too."""

    def __init__(self, edits):
        self.places = {tuple(place): [] for place in edits["listings"]}
        # `globals()` is a dictionary: its keys are what is wanted.
        self.places.update((tuple(place), [ast.Constant(value=True)]) for place in edits["listed_globals"])

    def visit_Call(self, node):
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("dir", "globals"):
            arguments = self.places.get((node.lineno, node.col_offset))
            if arguments is not None and not node.args:
                made = ast.Call(func=ast.Name(id=_DIRECTORY, ctx=ast.Load()), args=arguments, keywords=[])
                return located(made, node)
        return node


def bound(statement, alias):
    if alias.asname:
        return alias.asname
    return alias.name.partition(".")[0] if isinstance(statement, ast.Import) else alias.name


def find_clause(statements, clause):
    """The statement and the alias of a clause."""
    node = statements.get((clause["line"], clause["column"]))
    if node is None or clause["clause"] >= len(node.names):
        raise EditError("no import at line %d" % clause["line"])
    return node, node.names[clause["clause"]]


def take_clauses(tree, names, weakened):
    """Takes the deferred clauses out of the module's body: name -> the statements that bind it."""
    statements = {
        (node.lineno, node.col_offset): node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    for clause in weakened:
        alias = find_clause(statements, clause)[1]
        alias.name = alias.name.partition(".")[0]
    taken, gone = {}, {}
    for entry in names:
        for clause in entry["clauses"]:
            node, alias = find_clause(statements, clause)
            if bound(node, alias) != entry["name"]:
                raise EditError("the import at line %d does not bind `%s`" % (clause["line"], entry["name"]))
            gone.setdefault(id(node), set()).add(clause["clause"])
            taken.setdefault(entry["name"], []).append(own_statement(node, alias, clause["submodule"], entry["name"]))
    assignments = take_assignments(tree, names, taken)
    tree.body = without(tree.body, assignments, gone)
    return taken


def without(statements, assignments, gone):
    """What is left of the module's body, or of one of its branches."""
    body = []
    for node in statements:
        node = assignments.get(id(node), node)
        if node is None:
            continue
        if id(node) in gone:
            node.names = [alias for index, alias in enumerate(node.names) if index not in gone[id(node)]]
            if not node.names:
                continue
        if isinstance(node, ast.If):
            node.body = without(node.body, assignments, gone) or [ast.copy_location(ast.Pass(), node.body[0])]
            node.orelse = without(node.orelse, assignments, gone)
        body.append(node)
    return body


def statements_of(body):
    """The statements of the module's body, and of the branches of its conditions."""
    for node in body:
        yield node
        if isinstance(node, ast.If):
            yield from statements_of(node.body + node.orelse)


class OnValue(ast.NodeTransformer):
    """Has a statement work on a value that is not bound to its name yet: nobody sees it half set up."""

    def __init__(self, name):
        self.name = name

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(id=_VALUE, ctx=node.ctx), node) if node.id == self.name else node


class Needs(ast.NodeVisitor):
    """Deferred names that evaluating something asks for, whatever comes."""

    def __init__(self):
        self.names = {}

    def visit_FirstUse(self, node):
        self.names[node.body.id] = True

    def skip(self, node):
        pass

    visit_Lambda = visit_IfExp = visit_BoolOp = visit_GeneratorExp = skip
    visit_ListComp = visit_SetComp = visit_DictComp = skip


def needs(definition):
    """The deferred names that a class statement asks for while it runs, in whatever order."""
    found = Needs()
    for part in definition.decorator_list + definition.bases + definition.keywords:
        found.visit(part)
    for statement in definition.body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = statement.args
            for part in statement.decorator_list + arguments.defaults + [d for d in arguments.kw_defaults if d]:
                found.visit(part)
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            found.visit(statement.value)
        elif isinstance(statement, ast.ClassDef):
            for name in needs(statement):
                found.names[name] = True
    return list(found.names)


def bring(name, line):
    """A statement that has a deferred name bound."""
    place = ast.Pass(lineno=line, col_offset=0, end_lineno=line, end_col_offset=0)
    return ast.copy_location(ast.Expr(value=first_use(name, place)), place)


def bring_later(name, line):
    """The same, after what may be asked for it."""
    call = ast.parse("%s.later(%r)" % (_LOAD, name), mode="eval").body
    return located(ast.Expr(value=call), ast.Pass(lineno=line, col_offset=0, end_lineno=line, end_col_offset=0))


def take_assignments(tree, names, taken):
    """Takes the assignments of deferred names and what sets their values up: identity of the statement -> what is left
    of it."""
    places = {tuple(entry["statement"]): entry["name"] for entry in names if entry["statement"]}
    set_up = {tuple(place): entry["name"] for entry in names for place in entry["set_up"]}
    first = {entry["name"]: entry["first"] for entry in names}
    then = {entry["name"]: entry["then"] for entry in names}
    left = {}
    for node in statements_of(tree.body):
        place = (node.lineno, node.col_offset)
        if place in set_up and isinstance(node, (ast.Expr, ast.Assign)):
            name = set_up.pop(place)
            taken[name].append(OnValue(name).visit(node))
            left[id(node)] = None
            continue
        if place in places and isinstance(node, ast.ClassDef):
            name = places.pop(place)
            if node.name != name:
                raise EditError("the class at line %d is not `%s`" % (node.lineno, name))
            # Loading what it needs may ask for it, and make it.
            needed = dict.fromkeys([other for other in first[name] if other in first] + needs(node))
            missing = ast.parse("%r not in %s.namespace" % (name, _LOAD), mode="eval").body
            made = ast.If(test=located(missing, node), body=[node], orelse=[])
            taken[name] = [bring(other, node.lineno) for other in needed] + [ast.copy_location(made, node)]
            taken[name] += [bring_later(other, node.lineno) for other in then[name] if other in then]
            left[id(node)] = None
            continue
        if place not in places or not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        name = places.pop(place)
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if not isinstance(target, ast.Name) or target.id != name or node.value is None:
            raise EditError("the statement at line %d does not bind `%s`" % (node.lineno, name))
        made = ast.Assign(targets=[ast.copy_location(ast.Name(id=name, ctx=ast.Store()), target)], value=node.value)
        taken[name] = [ast.copy_location(made, node)]
        left[id(node)] = None
        if isinstance(node, ast.AnnAssign):
            # The annotation is the module's, and is evaluated where it stands.
            node.value = None
            left[id(node)] = node
    for line, _ in sorted([*places, *set_up]):
        raise EditError("no statement at line %d" % line)
    for name in {entry["name"] for entry in names if entry["set_up"]}:
        first = taken[name][0]
        target = first.targets[0]
        first.targets = [ast.copy_location(ast.Name(id=_VALUE, ctx=ast.Store()), target)]
        bind = ast.Assign(targets=[target], value=ast.copy_location(ast.Name(id=_VALUE, ctx=ast.Load()), target))
        taken[name].append(ast.copy_location(bind, first))
    return left


def own_statement(node, alias, submodule, name):
    """One clause as a statement of its own."""
    if submodule is not None:
        made = ast.Import(names=[ast.alias(name=submodule, asname=name)])
    elif isinstance(node, ast.Import):
        made = ast.Import(names=[alias])
    else:
        made = ast.ImportFrom(module=node.module, names=[alias], level=node.level)
    return located(ast.copy_location(made, node), node)


def prologue(taken, edits, place):
    """What the edited module runs first."""
    branches = []
    for name in sorted(taken):
        test = ast.parse("%s == %r" % (_ARGUMENT, name), mode="eval").body
        branches.append(ast.copy_location(ast.If(test=located(test, place), body=taken[name], orelse=[]), place))
    names = sorted(taken)
    made = sorted(entry["name"] for entry in edits["names"] if entry["statement"])
    text = []
    for package, name in edits["borrowed"]:
        text.append("from %s import lend as %s" % (edits["support"], _LOAD))
        text.append("%s(%r, %r)" % (_LOAD, package, name))
    text.append("def %s(%s): pass" % (_IMPORT, _ARGUMENT))
    text.append("from %s import attach as %s, chain as %s" % (edits["support"], _LOAD, _CHAIN))
    text.append(
        "%s, %s, __dir__ = %s(globals(), %s, %r, %r, %r)"
        % (_LOAD, "__getattr__", _LOAD, _IMPORT, tuple(names), tuple(edits["submodules"]), tuple(made))
    )
    text.append("%s, %s = __getattr__, __dir__" % (_OURS, _DIRECTORY))
    text.append("del " + _IMPORT)
    text += ["%s = False" % flag(name) for name in names]
    statements = [located(statement, place) for statement in ast.parse("\n".join(text)).body]
    if names:
        declared = ast.copy_location(ast.Global(names=names), place)
        (definition,) = (statement for statement in statements if isinstance(statement, ast.FunctionDef))
        definition.body = [declared] + branches
    return statements


def watch(absent, place):
    """What the handler's module runs first where modules were left out of the package."""
    if not absent:
        return []
    text = "from %s import install as %s\n%s(%r)\ndel %s"
    text %= (absent["module"], _LOAD, _LOAD, tuple(absent["packages"]), _LOAD)
    return [located(statement, place) for statement in ast.parse(text).body]


def binds(statement, name):
    """Whether a statement of the module's body binds `name` itself."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return statement.name == name
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return any(bound(statement, alias) == name for alias in statement.names)
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    stored = [node for target in targets if target is not None for node in ast.walk(target)]
    return any(isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Store) for node in stored)


def with_chains(body, names):
    """After a module's own `__getattr__`, one that knows the deferred names and then asks it."""
    made = []
    for statement in body:
        made.append(statement)
        # In a branch that always runs, too.
        if any(binds(inner, "__getattr__") for inner in statements_of([statement])):
            text = "__getattr__ = %s(%s, __getattr__, %r)" % (_CHAIN, _OURS, tuple(names))
            made.append(located(ast.parse(text).body[0], statement))
    return made


def first_free(body):
    """Index of the first statement after the docstring and the imports from `__future__`."""
    index = 0
    if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
        if isinstance(body[0].value.value, str):
            index = 1
    while index < len(body) and isinstance(body[index], ast.ImportFrom) and body[index].module == "__future__":
        index += 1
    return index


def apply(tree, edits):
    """Applies the edits to the tree of a module."""
    names = edits["names"]
    uses = Uses(names)
    uses.visit(tree)
    uses.check()
    if edits["listings"] or edits["listed_globals"]:
        Listings(edits).visit(tree)
    signatures = Signatures(edits["signatures"], edits["texts"])
    if signatures.wanted:
        signatures.visit(tree)
        signatures.check()
    lines = [clause["line"] for entry in names for clause in entry["clauses"]]
    lines += [entry["statement"][0] for entry in names if entry["statement"]]
    taken = take_clauses(tree, names, edits["weakened"])
    place = ast.Pass(lineno=min(lines, default=1), col_offset=0, end_lineno=min(lines, default=1), end_col_offset=0)
    tree.body = with_chains(tree.body, sorted(taken) + list(edits["submodules"]))
    first = watch(edits.get("absent"), place)
    if any(edits[kind] for kind in ("names", "submodules", "weakened", "borrowed")):
        first += prologue(taken, edits, place) + signatures.prologue(edits["support"], place)
    index = first_free(tree.body)
    tree.body[index:index] = first
    return tree
