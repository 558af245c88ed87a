from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

from .base import Renderer


class CodeRenderer(Renderer):
    extensions = ("py", "json", "sql", "sh")

    def render(self, text, name="", language=None, lines=False, **options):
        try:
            lexer = get_lexer_by_name(language) if language else get_lexer_for_filename(name)
        except ClassNotFound:
            lexer = TextLexer()
        return highlight(text, lexer, HtmlFormatter(linenos="inline" if lines else False, cssclass=lexer.name))
