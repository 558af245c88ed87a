from typing import Type

renderers: "dict[str, Type[Renderer]]" = {}


class RendererMeta(type):
    def __new__(mcs, name, bases, namespace):
        cls = super().__new__(mcs, name, bases, namespace)
        for extension in namespace.get("extensions", ()):
            renderers[extension] = cls
        return cls


class Renderer(metaclass=RendererMeta):
    extensions: "tuple[str, ...]" = ()

    def render(self, text: str, **options) -> str:
        raise NotImplementedError


def find(name: str) -> Renderer:
    extension = name.rpartition(".")[2].lower()
    try:
        return renderers[extension]()
    except KeyError:
        raise LookupError(f"no renderer for .{extension}; there are {', '.join(sorted(renderers))}") from None
