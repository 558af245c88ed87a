"""Invoices and reminders, rendered from templates. The handler is a method of one object."""

import json
import logging
from datetime import date, timedelta
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, select_autoescape

from money import Line, Totals, money, rounded

HERE = Path(__file__).resolve().parent


class InvoiceService:
    """Knows the company's settings, and renders what it is asked for."""

    def __init__(self, settings: dict, environment: Environment):
        self.settings = settings
        self.environment = environment
        self.log = logging.getLogger(type(self).__name__)
        self.log.setLevel(logging.INFO)

    @classmethod
    def from_folder(cls, folder: Path) -> "InvoiceService":
        with open(folder / "config.yaml", encoding="utf-8") as file:
            settings = yaml.safe_load(file)
        environment = Environment(
            loader=FileSystemLoader(folder / "templates"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        environment.filters["money"] = money
        environment.globals["terms"] = settings["terms"]
        return cls(settings, environment)

    def read_lines(self, items) -> list[Line]:
        rates = self.settings["rates"]
        return [
            Line(item["text"], item.get("quantity", 1), rounded(item["price"]),
                 rounded(rates[item.get("rate", "standard")]))
            for item in items
        ]

    def handle(self, event, context):
        order = yaml.safe_load(event["order"]) if isinstance(event["order"], str) else event["order"]
        totals = Totals()
        lines = self.read_lines(order["lines"])
        for line in lines:
            totals.add(line)
        try:
            template = self.environment.get_template(event.get("template", "invoice.html"))
        except TemplateNotFound as missing:
            return {"statusCode": 404, "body": json.dumps({"error": f"no template {missing.name}"})}
        text = template.render(
            sender=self.settings["sender"], number=event["number"], customer=order["customer"], lines=lines,
            totals=totals, currency=order.get("currency", "EUR"), level=event.get("level", 1),
            due=date.fromisoformat(str(order["date"])) + timedelta(days=self.settings["terms"]["days"]),
        )
        self.log.info("rendered %s for %s", template.name, event["number"])
        return {"statusCode": 200, "headers": {"content-type": "text/html"}, "body": text}


service = InvoiceService.from_folder(HERE)
handler = service.handle
