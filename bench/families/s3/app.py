"""Uploads to a bucket: signs links for browsers, stores notes, and reads them back."""

import json
import logging
import os
from typing import Any, Optional
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

logger = logging.getLogger(__name__)
logger.setLevel(logging.INFO)

BUCKET = os.environ.get("UPLOAD_BUCKET", "customer-uploads")
LINK_SECONDS = int(os.environ.get("LINK_SECONDS", "900"))

s3 = boto3.client("s3", config=Config(signature_version="s3v4", retries={"max_attempts": 2, "mode": "standard"}))


def respond(status: int, body: dict[str, Any]) -> dict[str, Any]:
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(body)}


def object_key(customer: str, name: str) -> str:
    return f"{customer}/{os.path.basename(name)}"


def sign_upload(customer: str, name: str, content_type: Optional[str]) -> dict[str, Any]:
    """A link that lets a browser put one object for a quarter of an hour."""
    key = object_key(customer, name)
    params = {"Bucket": BUCKET, "Key": key, "ContentType": content_type or "application/octet-stream"}
    link = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=LINK_SECONDS)
    parts = urlsplit(link)
    query = parse_qs(parts.query)
    return {"key": key, "link": link, "host": parts.netloc, "signed": query["X-Amz-SignedHeaders"][0]}


def store_note(customer: str, name: str, text: str) -> dict[str, Any]:
    key = object_key(customer, name)
    answer = s3.put_object(Bucket=BUCKET, Key=key, Body=text.encode(), ContentType="text/plain")
    logger.info("stored %s", key)
    return {"key": key, "etag": answer["ETag"].strip('"')}


def read_note(customer: str, name: str) -> Optional[dict[str, Any]]:
    key = object_key(customer, name)
    try:
        answer = s3.get_object(Bucket=BUCKET, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    return {"key": key, "text": answer["Body"].read().decode(), "type": answer["ContentType"]}


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    action, customer, name = event["action"], event["customer"], event["name"]
    if action == "sign":
        return respond(200, sign_upload(customer, name, event.get("content_type")))
    if action == "store":
        return respond(201, store_note(customer, name, event["text"]))
    if action == "read":
        note = read_note(customer, name)
        return respond(200, note) if note else respond(404, {"error": "no such note"})
    return respond(400, {"error": f"unknown action: {action}"})
