"""Rules that customers write themselves, as JSON Schema."""
import json
from pathlib import Path

import jsonschema
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

_folder = Path(__file__).with_name("rules")
_registry = Registry().with_resources(
    (path.stem, Resource.from_contents(json.loads(path.read_text()))) for path in sorted(_folder.glob("*.json"))
)


def problems(rule, document):
    schema = _registry.contents(rule)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, registry=_registry, format_checker=FormatChecker())
    return [
        {"path": error.json_path, "message": error.message, "rule": error.validator}
        for error in sorted(validator.iter_errors(document), key=jsonschema.exceptions.relevance)
    ]
