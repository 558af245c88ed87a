//! Whose fault it is: which part of a cold start the trace's failure belongs to.

use super::span::Failure;
use crate::document::{Import, Trace};
use crate::records::Status;

/// The failure, where it is init's.
pub(crate) fn of_init(trace: &Trace) -> Option<Failure> {
    let text = trace.failure.as_deref()?;
    match text.strip_prefix("init: ") {
        Some(rest) => Some(read(rest)),
        None if trace.phases.init.is_none() => Some(read(text)),
        None => None,
    }
}

/// The failure, where it is that of an event's first invoke.
pub(crate) fn of_invoke(trace: &Trace, event: &str) -> Option<Failure> {
    let text = trace.failure.as_deref()?;
    if of_init(trace).is_some() {
        return None;
    }
    if let Some(rest) = text.strip_prefix("first invoke, ") {
        return rest.strip_prefix(event)?.strip_prefix(": ").map(read);
    }
    // It does not say whose it is: that of the events which have no figure.
    let measured = trace.phases.first_invoke.get(event).is_some_and(Option::is_some);
    (!measured).then(|| read(text))
}

/// Why an import failed: the reason is known where it is what ended init.
pub(crate) fn of_import(import: &Import, ended: Option<&Failure>) -> Option<Failure> {
    let unknown = || Failure {
        error_type: None,
        message: format!("the import of {} failed", import.module),
        handled: true,
    };
    (import.status == Status::Failed).then(|| ended.cloned().unwrap_or_else(unknown))
}

/// `Type: text` or `text`.
fn read(text: &str) -> Failure {
    let Some((kind, message)) = text.split_once(": ").filter(|(kind, _)| !kind.contains(char::is_whitespace))
    else {
        return Failure { error_type: None, message: text.to_owned(), handled: false };
    };
    Failure { error_type: Some(kind.to_owned()), message: message.to_owned(), handled: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_told_from_the_message() {
        let told = |text| {
            let Failure { error_type, message, .. } = read(text);
            (error_type.unwrap_or_default(), message)
        };
        let of = |kind: &str, message: &str| (kind.to_owned(), message.to_owned());
        assert_eq!(told("ValueError: boom: twice"), of("ValueError", "boom: twice"));
        assert_eq!(told("RequestId: 1 Error: gone"), of("RequestId", "1 Error: gone"));
        assert_eq!(told("it was cut off: 3 s"), of("", "it was cut off: 3 s"));
    }
}
