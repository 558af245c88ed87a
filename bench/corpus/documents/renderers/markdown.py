import bleach
import markdown as engine
from bleach.css_sanitizer import CSSSanitizer
from markdown.extensions import Extension
from markdown.inlinepatterns import SimpleTagInlineProcessor
from markdown.treeprocessors import Treeprocessor

from .base import Renderer

MORE_TAGS = {"p", "h1", "h2", "h3", "pre", "del", "table", "thead", "tbody", "tr", "th", "td"}
TAGS = set(bleach.sanitizer.ALLOWED_TAGS) | MORE_TAGS


class LinkTarget(Treeprocessor):
    def run(self, root):
        for link in root.iter("a"):
            if link.get("href", "").startswith("http"):
                link.set("rel", "nofollow")


class HouseStyle(Extension):
    def extendMarkdown(self, md):
        md.inlinePatterns.register(SimpleTagInlineProcessor(r"()~~(.*?)~~", "del"), "del", 175)
        md.treeprocessors.register(LinkTarget(md), "link_target", 5)


class MarkdownRenderer(Renderer):
    extensions = ("md", "markdown")

    def render(self, text, toc=False, **options):
        names = ["tables", "fenced_code", HouseStyle()] + (["toc"] if toc else [])
        html = engine.markdown(text, extensions=names)
        attributes = {"a": ["href", "rel"], "td": ["style"], "th": ["style"]}
        return bleach.clean(html, tags=TAGS, attributes=attributes, css_sanitizer=CSSSanitizer(["text-align"]))
