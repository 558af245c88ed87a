"""Orders behind an HTTP API, with the tools that AWS recommends for Lambda."""

from http import HTTPStatus

from aws_lambda_powertools import Logger, Metrics, Tracer
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import BadRequestError, NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.parser import ValidationError, parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from models import Order

logger = Logger(service="orders", level="INFO")
tracer = Tracer(service="orders", disabled=True)
metrics = Metrics(namespace="Shop", service="orders")
app = APIGatewayHttpResolver()

SHIPPED = {"o-1": "on its way", "o-2": "delivered"}


@app.get("/orders/<order_id>")
@tracer.capture_method
def read_order(order_id: str) -> dict:
    if order_id not in SHIPPED:
        raise NotFoundError(f"no order {order_id}")
    return {"order_id": order_id, "state": SHIPPED[order_id]}


@app.get("/orders")
def list_orders() -> list[dict]:
    state = app.current_event.query_string_parameters.get("state")
    return [{"order_id": key, "state": value} for key, value in SHIPPED.items() if state in (None, value)]


@app.post("/orders")
@tracer.capture_method
def place_order() -> Response:
    try:
        order = parse(event=app.current_event.json_body, model=Order)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        raise BadRequestError("; ".join(f"{'.'.join(map(str, p['loc']))}: {p['msg']}" for p in problems)) from error
    metrics.add_metric(name="OrderPlaced", unit=MetricUnit.Count, value=1)
    logger.info("order placed", order_id=order.order_id, total=order.total_cents)
    return Response(
        status_code=HTTPStatus.CREATED,
        content_type=content_types.APPLICATION_JSON,
        body=order.model_dump_json(exclude_none=True),
    )


@app.exception_handler(ValueError)
def bad_value(error: ValueError) -> Response:
    logger.warning("bad value", extra={"reason": str(error)})
    return Response(status_code=422, content_type=content_types.TEXT_PLAIN, body=str(error))


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_HTTP, clear_state=True)
@tracer.capture_lambda_handler
@metrics.log_metrics
def lambda_handler(event: dict, context: LambdaContext) -> dict:
    return app.resolve(event, context)
