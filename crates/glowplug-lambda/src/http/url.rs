//! Function URLs: a request becomes an event of the payload format 2.0, and the answer of the function a response.
//!
//! On Lambda each has a host of its own; here it is a path: `/lambda-url/NAME/…`, or `/lambda-url/NAME:ALIAS/…`. Format of
//! requests and responses as in "Invoking Lambda function URLs" of the developer guide.

use std::collections::BTreeMap;

use base64::Engine as _;
use glowplug_engine::{ACCOUNT, LATEST, uuid};
use hyper::header::{COOKIE, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::stream::{self, Opened, Streaming};
use super::{Asked, Reply, invoke, reply};
use crate::error::Code;
use crate::invoke::Call;
use crate::model::Url;
use crate::names::Named;
use crate::service::Service;
use crate::signature::{Credentials, Message, Refusal, signer};
use crate::time;

/// First part of the path.
pub(super) const PREFIX: &str = "lambda-url";

/// Types of content that are text beside `text/…`; all others go to the function in base64.
const TEXTUAL: [&str; 4] =
    ["application/json", "application/xml", "application/javascript", "application/x-www-form-urlencoded"];

/// What is told where there is no signature (recorded in 2026-05).
const FORBIDDEN: &str = "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html";

/// What is told where a signature is not that of the request.
const WRONG: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// Headers that tell where a message ends: they are the server's own.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// The address of a function.
pub(crate) fn url_of(endpoint: &str, function: &str, alias: Option<&str>) -> String {
    match alias {
        Some(alias) => format!("{endpoint}/{PREFIX}/{function}:{alias}/"),
        None => format!("{endpoint}/{PREFIX}/{function}/"),
    }
}

/// Passes a request to the function that `name` names.
pub(super) async fn answer(asked: &Asked, name: &str, service: Service) -> Reply {
    let Ok(named) = Named::parse(name, None) else { return told(StatusCode::NOT_FOUND, "null") };
    let qualifier = named.qualifier.clone().unwrap_or_else(|| LATEST.to_owned());
    let Ok(Some(url)) = service.look(&named, |record| Ok(record.urls.get(&qualifier).cloned())) else {
        return told(StatusCode::NOT_FOUND, "null");
    };
    let cors = Cors::of(url.cors.as_ref(), asked);
    if asked.method == Method::OPTIONS
        && asked.header("access-control-request-method").is_some()
        && url.cors.is_some()
    {
        let mut answer = reply(StatusCode::OK, None, Vec::new());
        cors.allow(&mut answer, true);
        return answer;
    }
    let mut answer = match caller(asked, &url, &service) {
        Ok(caller) => pass(asked, (name, named), &url, caller.as_ref(), service).await,
        Err(refusal) => forbidden(&refusal),
    };
    cors.allow(&mut answer, false);
    answer
}

/// Who asks, where an address wants to know.
fn caller(asked: &Asked, url: &Url, service: &Service) -> Result<Option<Credentials>, Refusal> {
    if !url.signed {
        return Ok(None);
    }
    let message = Message {
        method: asked.method.as_str(),
        path: &asked.raw_path,
        query: &asked.raw_query,
        headers: &asked.headers,
        body: &asked.body,
    };
    signer(&message, "lambda", &service.credentials(), time::now()).cloned().map(Some)
}

/// The answer to who is not let in, in the words of AWS.
fn forbidden(refusal: &Refusal) -> Reply {
    let (kind, body) = match refusal {
        Refusal::Unsigned => ("AccessDeniedException", json!({"Message": FORBIDDEN})),
        Refusal::Incomplete(what) => ("IncompleteSignatureException", json!({"message": what})),
        Refusal::Unknown => (
            "UnrecognizedClientException",
            json!({"message": "The security token included in the request is invalid."}),
        ),
        Refusal::Untimely(what) => ("InvalidSignatureException", json!({"message": what})),
        Refusal::Wrong => ("InvalidSignatureException", json!({"message": WRONG})),
    };
    let mut reply = reply(StatusCode::FORBIDDEN, Some("application/json"), body.to_string().into_bytes());
    super::header(reply.headers_mut(), "x-amzn-errortype", kind);
    reply
}

async fn pass(
    asked: &Asked,
    (name, named): (&str, Named),
    url: &Url,
    caller: Option<&Credentials>,
    service: Service,
) -> Reply {
    let body = event(asked, name, caller).to_string().into_bytes().into();
    let trace_id = asked.header("x-amzn-trace-id").map(str::to_owned);
    let call = Call { trace_id, ..Call::new(named, body) };
    let answered = if url.streams {
        match stream::open(call, service).await {
            Ok(Opened::Parts(streaming)) => return streamed(streaming).await,
            // As it is: the address passes on what it gets.
            Ok(Opened::Whole(answer)) if !answer.failed => {
                return reply(StatusCode::OK, Some("application/json"), answer.payload);
            }
            Ok(Opened::Whole(answer)) => Ok(answer),
            Err(error) => Err(error),
        }
    } else {
        invoke::run(call, service).await
    };
    match answered {
        Ok(answer) if answer.failed => plain(StatusCode::BAD_GATEWAY, "Internal Server Error"),
        Ok(answer) => response(&answer.payload)
            .unwrap_or_else(|| plain(StatusCode::BAD_GATEWAY, "Internal Server Error")),
        Err(error) if error.code == Code::TooManyRequests => {
            told(StatusCode::TOO_MANY_REQUESTS, "\"Rate Exceeded.\"")
        }
        Err(error) if error.code == Code::RequestTooLarge => {
            told(StatusCode::PAYLOAD_TOO_LARGE, "\"Request body is too large\"")
        }
        Err(_) => plain(StatusCode::BAD_GATEWAY, "Internal Server Error"),
    }
}

/// The type of a stream that begins with a status and headers, as JSON, and eight zero bytes ("Response streaming for
/// function URLs" in the developer guide).
const WITH_PRELUDE: &str = "application/vnd.awslambda.http-integration-response";

/// Longest such beginning; ours.
const MOST_PRELUDE: usize = 64 * 1024;

/// The response of a function that streams.
async fn streamed(mut streaming: Streaming) -> Reply {
    let kind = streaming.content_type.take().unwrap_or_else(|| "application/octet-stream".to_owned());
    let (mut answer, begun) = if kind == WITH_PRELUDE {
        let mut begun = Vec::new();
        let mut looked = 0_usize;
        let split = loop {
            // The zero bytes may have begun in the part before.
            let from = looked.saturating_sub(7);
            if let Some(at) = begun[from..].windows(8).position(|window| window == [0; 8]) {
                break Some(from + at);
            }
            looked = begun.len();
            match streaming.next().await {
                Ok(part) if begun.len() < MOST_PRELUDE => begun.extend_from_slice(&part),
                _ => break None,
            }
        };
        let head = split.and_then(|at| response(&begun[..at]).map(|head| (head, begun.split_off(at + 8))));
        let Some(head) = head else { return plain(StatusCode::BAD_GATEWAY, "Internal Server Error") };
        head
    } else {
        (reply(StatusCode::OK, Some(&kind), Vec::new()), Vec::new())
    };
    *answer.body_mut() = streaming.body(begun, |part| part, |_| Vec::new());
    answer
}

/// What an address lets pages of other origins do (`Cors` of the service model).
struct Cors<'c> {
    rules: Option<&'c Value>,
    /// The origin that asks, where the rules allow it.
    origin: Option<String>,
}

impl<'c> Cors<'c> {
    fn of(rules: Option<&'c Value>, asked: &Asked) -> Self {
        let origin = asked.header("origin").filter(|origin| {
            let allowed = rules.and_then(|rules| rules["AllowOrigins"].as_array());
            allowed.is_some_and(|all| all.iter().any(|one| one == "*" || one == origin))
        });
        Self { rules, origin: origin.map(str::to_owned) }
    }

    /// Tells the browser; more of it before a request than after.
    fn allow(&self, reply: &mut Reply, before: bool) {
        let (Some(rules), Some(origin)) = (self.rules, &self.origin) else { return };
        let list = |name: &str| {
            let items = rules[name].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        };
        let credentials = rules["AllowCredentials"].as_bool().unwrap_or(false);
        let mut told = vec![("access-control-allow-origin", origin.clone()), ("vary", "Origin".to_owned())];
        if credentials {
            told.push(("access-control-allow-credentials", "true".to_owned()));
        }
        if before {
            told.push(("access-control-allow-methods", list("AllowMethods")));
            told.push(("access-control-allow-headers", list("AllowHeaders")));
            if let Some(age) = rules["MaxAge"].as_u64() {
                told.push(("access-control-max-age", age.to_string()));
            }
        } else {
            told.push(("access-control-expose-headers", list("ExposeHeaders")));
        }
        for (name, value) in told.into_iter().filter(|(_, value)| !value.is_empty()) {
            super::header(reply.headers_mut(), name, &value);
        }
    }
}

fn told(status: StatusCode, message: &str) -> Reply {
    reply(status, Some("application/json"), format!("{{\"Message\":{message}}}").into_bytes())
}

fn plain(status: StatusCode, text: &str) -> Reply {
    reply(status, Some("application/json"), text.as_bytes().to_vec())
}

/// The event of a request.
fn event(asked: &Asked, name: &str, caller: Option<&Credentials>) -> Value {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in &asked.headers {
        if name != COOKIE {
            let text = String::from_utf8_lossy(value.as_bytes());
            headers
                .entry(name.as_str())
                .and_modify(|known| {
                    known.push(',');
                    known.push_str(&text);
                })
                .or_insert_with(|| text.into_owned());
        }
    }
    let mut query: BTreeMap<&str, String> = BTreeMap::new();
    for (key, value) in &asked.query {
        let known = query.entry(key);
        known.and_modify(|known| known.push_str(&format!(",{value}"))).or_insert_with(|| value.clone());
    }
    let path = asked
        .raw_path
        .strip_prefix(&format!("/{PREFIX}/"))
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or("/");
    let domain = asked.header("host").unwrap_or_default();
    let now = time::now();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": asked.raw_query,
        "headers": headers,
        "requestContext": {
            "accountId": if caller.is_some() { ACCOUNT } else { "anonymous" },
            "apiId": name,
            "domainName": domain,
            "domainPrefix": name,
            "http": {
                "method": asked.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": asked.header("user-agent").unwrap_or_default(),
            },
            "requestId": uuid(),
            "routeKey": "$default",
            "stage": "$default",
            "time": time::common_log(now),
            "timeEpoch": now.as_millis() as u64,
        },
        "isBase64Encoded": false,
    });
    if let Some(caller) = caller {
        event["requestContext"]["authorizer"] = json!({"iam": {
            "accessKey": caller.key_id,
            "accountId": ACCOUNT,
            "callerId": caller.key_id,
            "cognitoIdentity": null,
            "principalOrgId": null,
            "userArn": format!("arn:aws:iam::{ACCOUNT}:user/local"),
            "userId": caller.key_id,
        }});
    }
    let cookies: Vec<String> = asked
        .headers
        .get_all(COOKIE)
        .iter()
        .flat_map(|value| {
            String::from_utf8_lossy(value.as_bytes()).split("; ").map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    if !cookies.is_empty() {
        event["cookies"] = json!(cookies);
    }
    if !query.is_empty() {
        event["queryStringParameters"] = json!(query);
    }
    if !asked.body.is_empty() {
        match std::str::from_utf8(&asked.body) {
            Ok(text) if is_text(asked.header("content-type").unwrap_or_default()) => {
                event["body"] = json!(text);
            }
            _ => {
                event["body"] = json!(base64::engine::general_purpose::STANDARD.encode(&asked.body));
                event["isBase64Encoded"] = json!(true);
            }
        }
    }
    event
}

fn is_text(content: &str) -> bool {
    let kind = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || TEXTUAL.contains(&kind.as_str())
}

/// The response that an answer means; `None` where it means none.
fn response(payload: &[u8]) -> Option<Reply> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    let Some(status) = value.get("statusCode") else {
        let text = match value {
            Value::String(text) => text.into_bytes(),
            _ => payload.to_vec(),
        };
        return Some(reply(StatusCode::OK, Some("application/json"), text));
    };
    let status = status.as_u64().or_else(|| status.as_str()?.parse().ok())?;
    let status =
        StatusCode::from_u16(u16::try_from(status).ok()?).ok().filter(|status| status.as_u16() >= 200)?;
    let text = match value.get("body") {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let encoded = value.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or(false);
    let body = if encoded {
        base64::engine::general_purpose::STANDARD.decode(text).ok()?
    } else {
        text.into_bytes()
    };
    let mut reply = reply(status, Some("application/json"), body);
    for (name, value) in value.get("headers").and_then(Value::as_object).into_iter().flatten() {
        if FRAMING.contains(&name.to_ascii_lowercase().as_str()) {
            continue;
        }
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let (name, value) =
            (HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(&text).ok()?);
        reply.headers_mut().insert(name, value);
    }
    for cookie in value.get("cookies").and_then(Value::as_array).into_iter().flatten() {
        let value = HeaderValue::from_str(cookie.as_str()?).ok()?;
        reply.headers_mut().append("set-cookie", value);
    }
    Some(reply)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    fn read(payload: &Value) -> Option<(u16, String, String)> {
        let reply = response(payload.to_string().as_bytes())?;
        let kind = reply.headers()["content-type"].to_str().unwrap().to_owned();
        let status = reply.status().as_u16();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let body = runtime.block_on(reply.into_body().collect()).unwrap().to_bytes();
        Some((status, kind, String::from_utf8_lossy(&body).into_owned()))
    }

    #[test]
    fn answers_become_responses() {
        let json = "application/json".to_owned();
        assert_eq!(read(&json!({"a": 1})), Some((200, json.clone(), "{\"a\":1}".to_owned())));
        assert_eq!(read(&json!("text")), Some((200, json.clone(), "text".to_owned())));
        let full = json!({"statusCode": 201, "headers": {"Content-Type": "text/html"}, "body": "PGI+", "isBase64Encoded": true});
        assert_eq!(read(&full), Some((201, "text/html".to_owned(), "<b>".to_owned())));
        let framed = json!({"statusCode": 200, "headers": {"Content-Length": "100"}, "body": "hi"});
        assert_eq!(read(&framed), Some((200, json.clone(), "hi".to_owned())));
        assert_eq!(read(&json!({"statusCode": "204"})), Some((204, json, String::new())));
        for broken in [
            json!({"statusCode": 99_999}),
            json!({"statusCode": 150}),
            json!({"statusCode": 200, "body": "!", "isBase64Encoded": true}),
            json!({"statusCode": 200, "headers": {"a b": "c"}}),
            json!({"statusCode": 200, "headers": {"a": "b\nc"}}),
        ] {
            assert_eq!(read(&broken), None, "{broken}");
        }
    }

    #[test]
    fn text_is_told_by_its_type() {
        for text in ["text/plain", "application/json; charset=utf-8", "application/problem+json"] {
            assert!(is_text(text), "{text}");
        }
        assert!(!is_text("application/octet-stream") && !is_text(""));
    }
}
