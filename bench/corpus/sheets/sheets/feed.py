"""Writes and reads the XML feed of a market place."""

from lxml import etree
from lxml.builder import ElementMaker

__all__ = ["FEED", "parse_feed", "to_feed", "validate"]

FEED = "https://market.example.com/feed/2"
_make = ElementMaker(namespace=FEED, nsmap={None: FEED})
_SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="%s" elementFormDefault="qualified">
<xs:element name="feed"><xs:complexType><xs:sequence><xs:element name="item" minOccurs="1" maxOccurs="unbounded">
<xs:complexType><xs:sequence><xs:element name="name" type="xs:string"/><xs:element name="price" type="xs:decimal"/>
</xs:sequence><xs:attribute name="sku" type="xs:string" use="required"/><xs:attribute name="from" type="xs:date"/>
</xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>""" % FEED


def to_feed(rows):
    feed = _make.feed()
    for row in rows:
        item = _make.item(_make.name(row.name), _make.price(f"{row.price:.2f}"), sku=row.sku)
        if row.valid_from:
            item.set("from", row.valid_from.isoformat())
        feed.append(item)
    return feed


def validate(feed):
    schema = etree.XMLSchema(etree.fromstring(_SCHEMA))
    schema.validate(feed)
    return [f"{entry.line}: {entry.message}" for entry in schema.error_log]


def parse_feed(text):
    root = etree.fromstring(text.encode())
    find = etree.XPath("//f:item[f:price > $limit]", namespaces={"f": FEED})
    return [
        {"sku": item.get("sku"), "name": item.findtext(f"{{{FEED}}}name"), "price": item.findtext(f"{{{FEED}}}price")}
        for item in find(root, limit=0)
    ]
