"""Validates a file against speedscope's schema: `speedscope.py FILE SCHEMA`."""

import json
import sys

import jsonschema

document, schema = (json.load(open(path)) for path in sys.argv[1:])
jsonschema.Draft7Validator.check_schema(schema)
jsonschema.Draft7Validator(schema).validate(document)
print(len(document["profiles"]))
