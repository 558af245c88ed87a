"""Price watch: reads offers out of a shop's page, which the event brings along or a link leads to."""

import json
import logging
import re
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Optional
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup, Tag
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

PRICE = re.compile(r"(?P<currency>€|\$|£)\s*(?P<whole>\d{1,3}(?:[ ,]\d{3})*|\d+)(?:\.(?P<cents>\d{2}))?")
SPACES = re.compile(r"\s+")
CURRENCIES = {"€": "EUR", "$": "USD", "£": "GBP"}

session = requests.Session()
session.headers.update({"User-Agent": "price-watch/2.3", "Accept": "text/html"})
session.mount("https://", HTTPAdapter(max_retries=Retry(total=2, backoff_factor=0.1)))


@dataclass
class Offer:
    name: str
    price: str
    currency: str
    link: Optional[str] = None
    in_stock: bool = True


def fetch(link: str) -> str:
    response = session.get(link, timeout=3)
    response.raise_for_status()
    return response.text


def text_of(tag: Optional[Tag]) -> str:
    return SPACES.sub(" ", tag.get_text()).strip() if tag else ""


def read_offer(card: Tag, base: str) -> Optional[Offer]:
    found = PRICE.search(text_of(card.select_one(".price")))
    if not found:
        return None
    amount = Decimal(re.sub("[ ,]", "", found["whole"])) + Decimal(found["cents"] or 0) / 100
    anchor = card.find("a", href=True)
    return Offer(
        name=text_of(card.select_one("h2, h3")),
        price=str(amount),
        currency=CURRENCIES[found["currency"]],
        link=urljoin(base, anchor["href"]) if anchor else None,
        in_stock="sold out" not in text_of(card).lower(),
    )


def read_offers(html: str, base: str) -> list[Offer]:
    page = BeautifulSoup(html, "html.parser")
    offers = [read_offer(card, base) for card in page.select("article.product, li.product")]
    return [offer for offer in offers if offer is not None]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    link = requests.Request("GET", event["url"], params=event.get("params")).prepare().url
    try:
        html = event["html"] if "html" in event else fetch(link)
    except requests.RequestException as error:
        logger.warning("%s could not be read: %s", link, type(error).__name__)
        return {"statusCode": 502, "body": json.dumps({"error": type(error).__name__, "url": link})}
    offers = read_offers(html, link)
    logger.info("%d offers on %s", len(offers), link)
    return {"statusCode": 200, "body": json.dumps({"url": link, "offers": [asdict(offer) for offer in offers]})}
