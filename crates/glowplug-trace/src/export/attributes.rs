//! What spans say besides their names and times.

use glowplug_core::{Stat, TASK_ROOT};

use super::span::{Attributes, Value};
use crate::document::{Import, Kinds, Statement, Trace};
use crate::records::{Bytecode, Phase};

/// Of the cold start as a whole.
pub(crate) fn of_cold_start(trace: &Trace, event: Option<&str>) -> Attributes {
    let environment = &trace.environment;
    let mut told = vec![
        ("glowplug.cpu", Value::from(&*environment.cpu)),
        ("glowplug.init_boost", Value::Flag(environment.init_boost)),
        ("glowplug.page_cache", Value::from(&*environment.page_cache)),
    ];
    push_event(&mut told, event);
    if let Some(overhead) = &environment.agent_overhead {
        told.push(("glowplug.agent_overhead_ms", number(overhead.median)));
    }
    told
}

/// Of a phase: the figure and its uncertainty, and the same with a cold page cache.
pub(crate) fn of_phase(stat: Option<&Stat>, cold: Option<&Stat>) -> Attributes {
    let mut told = Vec::new();
    if let Some(stat) = stat {
        told.push(("glowplug.median_ms", number(stat.median)));
        told.push(("glowplug.low_ms", number(stat.low)));
        told.push(("glowplug.high_ms", number(stat.high)));
        told.push(("glowplug.runs", whole(stat.runs as u64)));
    }
    if let Some(cold) = cold {
        told.push(("glowplug.cold_cache_ms", number(cold.median)));
    }
    told
}

/// Of init: by kind of work, and what no import explains.
pub(crate) fn of_work(trace: &Trace) -> Attributes {
    let Kinds { find, read, compile, unmarshal, exec, native, gc, regex, io, rest } = &trace.kinds;
    let mut told = Vec::new();
    for (name, figure) in [
        ("glowplug.find_ms", find),
        ("glowplug.read_ms", read),
        ("glowplug.compile_ms", compile),
        ("glowplug.unmarshal_ms", unmarshal),
        ("glowplug.exec_ms", exec),
        ("glowplug.native_ms", native),
        ("glowplug.gc_ms", gc),
        ("glowplug.regex_ms", regex),
        ("glowplug.io_ms", io),
        ("glowplug.rest_ms", rest),
        ("glowplug.unexplained_ms", &trace.unexplained_ms),
    ] {
        push_figure(&mut told, name, *figure);
    }
    let started = trace.subprocesses.iter().filter(|process| process.phase == Phase::Init);
    push_list(&mut told, "glowplug.subprocesses", started.map(|process| process.what.clone()).collect());
    push_list(&mut told, "glowplug.connections", connections(trace, None));
    told
}

/// Of an event's first invoke: what it is made of.
pub(crate) fn of_invoke(trace: &Trace, event: &str) -> Attributes {
    let mut told = Vec::new();
    push_event(&mut told, Some(event));
    if let Some(parts) = trace.phases.first_invoke_parts.get(event) {
        push_figure(&mut told, "glowplug.imports_ms", parts.imports_ms);
        push_figure(&mut told, "glowplug.connect_ms", parts.connect_ms);
        push_figure(&mut told, "glowplug.handler_ms", parts.handler_ms);
    }
    push_list(&mut told, "glowplug.connections", connections(trace, Some(event)));
    told
}

/// Of one import: its figures as they were measured, whatever place its span has found.
pub(crate) fn of_import(import: &Import) -> Attributes {
    let mut told = vec![("glowplug.module", Value::from(&*import.module))];
    if let Some(distribution) = &import.distribution {
        told.push(("glowplug.distribution", Value::from(&**distribution)));
    }
    if let Some(file) = &import.file {
        told.push(("glowplug.file", Value::from(file.as_str())));
    }
    told.push(("glowplug.total_ms", number(import.total_ms)));
    told.push(("glowplug.self_ms", number(import.self_ms)));
    push_figure(&mut told, "glowplug.cpu_ms", import.cpu_ms);
    for (name, figure) in [
        ("glowplug.find_ms", import.find_ms),
        ("glowplug.read_ms", import.read_ms),
        ("glowplug.compile_ms", import.compile_ms),
        ("glowplug.unmarshal_ms", import.unmarshal_ms),
        ("glowplug.exec_ms", import.exec_ms),
        ("glowplug.native_ms", import.native_ms),
        ("glowplug.gc_ms", import.gc_ms),
        ("glowplug.regex_ms", import.regex_ms),
        ("glowplug.io_ms", import.io_ms),
        ("glowplug.memory_kib", import.memory_kib),
    ] {
        push_figure(&mut told, name, figure);
    }
    if let Some(bytes) = import.bytes_read {
        told.push(("glowplug.bytes_read", whole(bytes)));
    }
    told.push(("glowplug.bytecode", Value::from(bytecode(import.bytecode))));
    told.push(("glowplug.runtime_provided", Value::Flag(import.runtime_provided)));
    told.push(("glowplug.used_by", Value::List(import.used_by.clone())));
    told
}

/// Of one statement.
pub(crate) fn of_statement(statement: &Statement) -> Attributes {
    let mut told = vec![
        ("glowplug.statement", Value::from(&*statement.text)),
        ("glowplug.self_ms", number(statement.self_ms)),
    ];
    push_figure(&mut told, "glowplug.cpu_ms", statement.cpu_ms);
    push_figure(&mut told, "glowplug.imports_ms", statement.imports_ms);
    told
}

/// `file:line` as its two parts, the file where Lambda has it.
pub(crate) fn place(place: &str) -> Option<(String, u32)> {
    let (file, line) = place.rsplit_once(':')?;
    let absolute = file.starts_with('/') || file.starts_with('<');
    let path = if absolute { file.to_owned() } else { format!("{TASK_ROOT}/{file}") };
    Some((path, line.parse().ok()?))
}

fn connections(trace: &Trace, event: Option<&str>) -> Vec<String> {
    let made = trace.connections.iter().filter(|made| made.event.as_deref() == event);
    made.map(|made| format!("{} {} {:.1} ms", made.kind, made.address, made.total_ms)).collect()
}

fn bytecode(found: Bytecode) -> &'static str {
    match found {
        Bytecode::Valid => "valid",
        Bytecode::Stale => "stale",
        Bytecode::Missing => "missing",
        Bytecode::None => "none",
    }
}

fn push_event(told: &mut Attributes, event: Option<&str>) {
    if let Some(event) = event {
        told.push(("glowplug.event", Value::from(event)));
    }
}

/// What was not measured is left out.
fn push_figure(told: &mut Attributes, name: &'static str, figure: Option<f64>) {
    if let Some(figure) = figure {
        told.push((name, number(figure)));
    }
}

fn push_list(told: &mut Attributes, name: &'static str, list: Vec<String>) {
    if !list.is_empty() {
        told.push((name, Value::List(list)));
    }
}

fn whole(count: u64) -> Value {
    Value::Whole(i64::try_from(count).unwrap_or(i64::MAX))
}

/// To a nanosecond, which is more than a clock gives.
fn number(figure: f64) -> Value {
    Value::Number((figure * 1e6).round() / 1e6)
}
