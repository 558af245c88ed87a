//! OpenTelemetry: spans with the semantic conventions for functions as a service.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Record, Status};
use prost::Message;
use serde_json::Value as Json;

use glowplug_core::{Architecture, Error, Result};

use super::ExportOptions;
use super::identity::{ACCOUNT, Ids, REGION, VERSION, arn, epoch_ns};
use super::span::{Kind, Span, Value};
use super::spans::cold_starts;
use crate::document::Trace;

/// The conventions that the names of attributes are from.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";

/// Sampled, and certain that the parent is not remote.
const FLAGS: u32 = 0x101;

/// Every cold start as a trace of its own, every warm invoke as another, linked to it. They lie one after the other
/// and end now.
pub(crate) fn request(trace: &Trace, options: &ExportOptions) -> ExportTraceServiceRequest {
    let starts = cold_starts(trace, options.threshold_ms);
    let mut ids = Ids::new(options.seed);
    let total: u64 = starts.iter().map(super::span::ColdStart::total_ns).sum();
    let mut base = epoch_ns(options.now).saturating_sub(total);
    let mut records = Vec::new();
    for start in &starts {
        let mut linked = None;
        for root in start.roots() {
            let mut writer = Writer {
                trace,
                base,
                trace_id: ids.trace(base + root.start_ns).bytes().to_vec(),
                ids: &mut ids,
                records: &mut records,
            };
            let first = writer.records.len();
            writer.write(root, None);
            if let Some(link) = linked.take() {
                records[first].links.push(link);
            }
            let Record { trace_id, span_id, .. } = records[first].clone();
            linked = Some(Link { trace_id, span_id, flags: FLAGS, ..Link::default() });
        }
        base += start.total_ns();
    }
    let scope = InstrumentationScope {
        name: "glowplug".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource(trace, options)),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: records,
                schema_url: SCHEMA_URL.to_owned(),
            }],
            schema_url: SCHEMA_URL.to_owned(),
        }],
    }
}

/// How many spans a request holds.
pub(crate) fn count(request: &ExportTraceServiceRequest) -> usize {
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    scopes.map(|scope| scope.spans.len()).sum()
}

/// As protobuf.
pub(crate) fn protobuf(request: &ExportTraceServiceRequest) -> Vec<u8> {
    request.encode_to_vec()
}

/// As JSON: ids in hexadecimal, 64-bit numbers as text, and what has its default left out.
pub(crate) fn json(request: &ExportTraceServiceRequest) -> Result<Vec<u8>> {
    let mut document = serde_json::to_value(request)
        .map_err(|error| Error::defect("the spans have no JSON").cause(error))?;
    leave_out_defaults(&mut document);
    super::json(&document)
}

/// Values of attributes are what they are, empty or not.
fn leave_out_defaults(value: &mut Json) {
    match value {
        Json::Object(fields) => {
            fields.retain(|name, value| {
                let default = match value {
                    Json::Null => true,
                    Json::String(text) => text.is_empty(),
                    Json::Number(number) => number.as_f64() == Some(0.0),
                    Json::Array(list) => list.is_empty(),
                    Json::Bool(_) | Json::Object(_) => false,
                };
                !default || name.ends_with("Value") || name == "values"
            });
            fields.values_mut().for_each(leave_out_defaults);
        }
        Json::Array(list) => list.iter_mut().for_each(leave_out_defaults),
        _ => {}
    }
}

struct Writer<'a> {
    trace: &'a Trace,
    base: u64,
    trace_id: Vec<u8>,
    ids: &'a mut Ids,
    records: &'a mut Vec<Record>,
}

impl Writer<'_> {
    fn write(&mut self, span: &Span, parent: Option<u64>) {
        let id = self.ids.span();
        let record = Record {
            trace_id: self.trace_id.clone(),
            span_id: id.to_be_bytes().to_vec(),
            parent_span_id: parent.map(|id| id.to_be_bytes().to_vec()).unwrap_or_default(),
            flags: FLAGS,
            // The conventions ask for the function's name; which invoke it was is in the attributes.
            name: if span.kind.is_invoke() { self.trace.function.name.clone() } else { span.name.clone() },
            kind: if span.kind.is_invoke() { SpanKind::Server } else { SpanKind::Internal }.into(),
            start_time_unix_nano: self.base + span.start_ns,
            end_time_unix_nano: self.base + span.end_ns,
            attributes: self.attributes(span),
            status: span
                .failure
                .as_ref()
                .map(|failure| Status { message: failure.message.clone(), code: StatusCode::Error.into() }),
            ..Record::default()
        };
        self.records.push(record);
        for child in &span.children {
            self.write(child, Some(id));
        }
    }

    fn attributes(&mut self, span: &Span) -> Vec<KeyValue> {
        let mut told = Vec::new();
        let mut add = |name: &str, value: Value| told.push(pair(name, value));
        if span.kind == Kind::ColdStart || span.kind.is_invoke() {
            add("faas.coldstart", Value::Flag(span.kind != Kind::WarmInvoke));
        }
        if span.kind.is_invoke() {
            add("faas.trigger", "other".into());
            add("faas.invocation_id", Value::Text(self.ids.request()));
            add("aws.lambda.invoked_arn", Value::Text(arn(&self.trace.function.name)));
        }
        if let Some((file, line)) = &span.place {
            add("code.file.path", Value::Text(file.clone()));
            if *line > 0 {
                add("code.line.number", Value::Whole(i64::from(*line)));
            }
        }
        if let Some(failure) = &span.failure {
            let kind = failure.error_type.clone().unwrap_or_else(|| "_OTHER".to_owned());
            add("error.type", Value::Text(kind));
        }
        add("thread.name", Value::Text(span.thread.clone()));
        add("glowplug.kind", span.kind.name().into());
        for (name, value) in &span.attributes {
            add(name, value.clone());
        }
        told
    }
}

fn resource(trace: &Trace, options: &ExportOptions) -> Resource {
    let function = &trace.function;
    let architecture = match function.architecture {
        Architecture::X86_64 => "amd64",
        Architecture::Arm64 => "arm64",
    };
    let mut attributes: Vec<KeyValue> = [
        ("service.name", Value::from(&*function.name)),
        ("faas.name", Value::from(&*function.name)),
        ("faas.version", VERSION.into()),
        ("faas.max_memory", Value::Whole(i64::from(function.memory_mb) * 1024 * 1024)),
        ("cloud.provider", "aws".into()),
        ("cloud.platform", "aws_lambda".into()),
        ("cloud.region", REGION.into()),
        ("cloud.account.id", ACCOUNT.into()),
        ("cloud.resource_id", Value::Text(arn(&function.name))),
        ("host.arch", architecture.into()),
        ("process.runtime.name", "cpython".into()),
        ("process.runtime.version", Value::Text(function.python.to_string())),
        ("telemetry.sdk.name", "glowplug".into()),
        ("telemetry.sdk.language", "rust".into()),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into()),
        ("glowplug.handler", Value::from(&*function.handler)),
    ]
    .into_iter()
    .map(|(name, value)| pair(name, value))
    .collect();
    for (name, value) in &options.otlp.resource {
        attributes.retain(|attribute| attribute.key != *name);
        attributes.push(pair(name, Value::Text(value.clone())));
    }
    Resource { attributes, ..Resource::default() }
}

fn pair(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text),
        Value::Number(number) => any_value::Value::DoubleValue(number),
        Value::Whole(whole) => any_value::Value::IntValue(whole),
        Value::Flag(flag) => any_value::Value::BoolValue(flag),
        Value::List(list) => any_value::Value::ArrayValue(ArrayValue {
            values: list.into_iter().map(|text| any(Value::Text(text))).collect(),
        }),
    };
    AnyValue { value: Some(value) }
}
