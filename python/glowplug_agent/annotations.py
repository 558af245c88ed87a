"""Has annotations of functions, and of the variables of classes, wait until somebody looks into them.

This file is joined behind `edits.py`.
"""


def evaluated_first(code):
    """Whether annotations of positional-only parameters are evaluated before the others: ask the interpreter."""
    namespace = {}
    exec(code, namespace)
    return next(iter(namespace["probe"].__annotations__)) == "first"


_POSITIONAL_ONLY_FIRST = evaluated_first("def probe(first: 1, /, second: 2): pass")


def mangled(name, private):
    """A name as a class called `private` has it."""
    private = (private or "").lstrip("_")
    if not private or not name.startswith("__") or name.endswith("__"):
        return name
    return "_" + private + name


def waits(node):
    """Whether an expression does nothing that could not be done later, its parts apart."""
    if isinstance(node, ast.Name):
        return not is_private(node.id)
    if isinstance(node, ast.Attribute):
        return not is_private(node.attr)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.BitOr)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    return isinstance(node, (FirstUse, ast.Subscript, ast.Tuple, ast.List, ast.Constant))


def is_private(name):
    return name.startswith("__") and not name.endswith("__")


class Holes(ast.NodeTransformer):
    """Takes what does not wait out of one annotation: it is evaluated where the annotation stands."""

    def __init__(self, key):
        self.key = key
        self.taken = []

    def visit(self, node):
        if not isinstance(node, ast.expr) or isinstance(node, FirstUse):
            return node
        if waits(node):
            return self.generic_visit(node)
        self.taken.append(node)
        text = "%s[%r][%d]" % (_HELD, self.key, len(self.taken) - 1)
        return located(ast.parse(text, mode="eval").body, node)

    def tuple(self):
        """What is left of the annotation."""
        if not self.taken:
            return None
        return ast.copy_location(ast.Tuple(elts=self.taken, ctx=ast.Load()), self.taken[0])


class Signatures(ast.NodeVisitor):
    """Takes the annotations out of functions and classes: first line of each one's code -> what makes them, negative for
    classes. Functions with text that stays get a decorator."""

    def __init__(self, places, texts):
        self.places = {tuple(place) for place in places}
        self.texts = {}
        for line, column, name in texts:
            self.texts.setdefault((line, column), []).append(name)
        self.wanted = bool(self.places or self.texts)
        self.named = bool(self.texts)
        self.taken = {}
        self.private = None
        self.variables = False

    def visit_ClassDef(self, node):
        outer, self.private = self.private, node.name
        self.generic_visit(node)
        self.private = outer
        variables = [statement for statement in node.body if isinstance(statement, ast.AnnAssign)]
        first = min(((v.annotation.lineno, v.annotation.col_offset) for v in variables), default=None)
        if first in self.places:
            self.places.discard(first)
            self.take_variables(node, variables)

    def take_variables(self, node, variables):
        """Has a class make the annotations of its variables when they are first read."""
        place = variables[0]
        keys = [located(ast.Constant(value=variable.target.id), variable) for variable in variables]
        made = ast.Dict(keys=keys, values=[variable.annotation for variable in variables])
        self.taken[-node.lineno] = ast.copy_location(ast.Return(value=ast.copy_location(made, place)), place)
        begin = ast.parse("__annotations__ = %s(%d)" % (_VARIABLES, -node.lineno)).body[0]
        body = []
        for statement in node.body:
            if statement not in variables:
                body.append(statement)
            elif statement.value is not None:
                made = ast.Assign(targets=[statement.target], value=statement.value)
                body.append(ast.copy_location(made, statement))
        index = first_free(body)
        body.insert(index, located(begin, place))
        node.body = body
        self.variables = True

    def visit_FunctionDef(self, node):
        parameters = self.annotated(node.args)
        annotations = [parameter.annotation for parameter in parameters] + [node.returns] * (node.returns is not None)
        first = min(((a.lineno, a.col_offset) for a in annotations), default=None)
        names = self.texts.pop(first, None)
        if names:
            made = ast.Call(
                func=ast.Name(id=_NAMED, ctx=ast.Load()), args=[ast.Constant(value=name) for name in names], keywords=[]
            )
            self.decorate(node, made)
        if first in self.places:
            self.places.discard(first)
            self.take(node, parameters, annotations)

    visit_AsyncFunctionDef = visit_FunctionDef

    def annotated(self, arguments):
        """The parameters that have an annotation, in the order in which the interpreter evaluates them."""
        positional = [arguments.posonlyargs, arguments.args]
        if not _POSITIONAL_ONLY_FIRST:
            positional.reverse()
        parameters = sum(positional, []) + [arguments.vararg] + arguments.kwonlyargs + [arguments.kwarg]
        return [parameter for parameter in parameters if parameter is not None and parameter.annotation is not None]

    def take(self, node, parameters, annotations):
        keys = [mangled(parameter.arg, self.private) for parameter in parameters]
        keys += ["return"] * (node.returns is not None)
        holes = [Holes(key) for key in keys]
        annotations = [hole.visit(annotation) for hole, annotation in zip(holes, annotations)]
        for parameter, hole in zip(parameters, holes):
            parameter.annotation = hole.tuple()
        if node.returns is not None:
            node.returns = holes[-1].tuple()
        line = (node.decorator_list or [node])[0].lineno
        place = self.decorate(node, ast.Name(id=_TYPED, ctx=ast.Load()))
        made = ast.Dict(keys=[located(ast.Constant(value=key), place) for key in keys], values=annotations)
        self.taken[line] = ast.copy_location(ast.Return(value=ast.copy_location(made, place)), place)

    def decorate(self, node, decorator):
        """Gives a function an innermost decorator: the place of that."""
        # On the line of the definition itself: the first line of its code stays what it was.
        place = ast.Pass(
            lineno=node.lineno, col_offset=node.col_offset, end_lineno=node.lineno, end_col_offset=node.col_offset + 3
        )
        node.decorator_list.append(located(decorator, place))
        return place

    def check(self):
        for line, column in sorted([*self.places, *self.texts]):
            raise EditError("no function is annotated at line %d, column %d" % (line, column))

    def choice(self, lines):
        """A statement that returns the annotations of the function with the line that is asked for."""
        if len(lines) == 1:
            return self.taken[lines[0]]
        middle = len(lines) // 2
        place = self.taken[lines[middle]]
        test = ast.parse("%s < %d" % (_ARGUMENT, lines[middle]), mode="eval").body
        branch = ast.If(
            test=located(test, place), body=[self.choice(lines[:middle])], orelse=[self.choice(lines[middle:])]
        )
        return ast.copy_location(branch, place)

    def prologue(self, support, place):
        """What makes the decorators."""
        text = ""
        if self.taken:
            text += "def %s(%s, %s): pass\n" % (_ANNOTATIONS, _ARGUMENT, _HELD)
            makers = [("typed", _TYPED)] + [("variables", _VARIABLES)] * self.variables
            for maker, name in makers:
                text += "from %s import %s as %s\n%s = %s(%s)\n" % (support, maker, name, name, name, _ANNOTATIONS)
            text += "del %s\n" % _ANNOTATIONS
        if self.named:
            text += "from %s import named as %s\n%s = %s(%s)" % (support, _NAMED, _NAMED, _NAMED, _LOAD)
        statements = [located(statement, place) for statement in ast.parse(text).body]
        if self.taken:
            statements[0].body = [self.choice(sorted(self.taken))]
        return statements
