//! Names of functions as clients write them: a name, a partial or a full ARN, with or without a qualifier.

use glowplug_engine::{ACCOUNT, LATEST, REGION};

use crate::error::ApiError;

/// The longest name of a function (`FunctionName` of the service model; names alone are at most 64).
const LONGEST_NAME: usize = 64;

/// The pattern of the service model, for messages.
const PATTERN: &str = "(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?";

/// A function and which of its versions is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) function: String,
    /// `$LATEST`, a number, or an alias; `None` where nothing was said.
    pub(crate) qualifier: Option<String>,
}

impl Named {
    /// Reads a name as it stands in a path, with the qualifier that stands in the query.
    ///
    /// # Errors
    /// The name has no form of Lambda's, is of another account, or names another qualifier than the query.
    pub(crate) fn parse(text: &str, query: Option<&str>) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::constraint(
                text,
                "functionName",
                &format!("satisfy regular expression pattern: {PATTERN}"),
            )
        };
        let (function, inner) = split(text).ok_or_else(refused)?;
        if let Some(qualifier) = query {
            check_qualifier(qualifier)?;
        }
        let qualifier = match (inner, query) {
            (Some(inner), Some(query)) if inner != query => {
                return Err(ApiError::invalid(
                    "The derived qualifier from the function name does not match the specified qualifier.",
                ));
            }
            (inner, query) => inner.or(query).map(str::to_owned),
        };
        Ok(Self { function: function.to_owned(), qualifier })
    }

    /// The ARN with the qualifier that was said.
    pub(crate) fn arn(&self) -> String {
        qualified_arn(&self.function, self.qualifier.as_deref())
    }

    /// What a client of the control API is told of a function that is not there.
    pub(crate) fn unqualified_not_found(&self) -> ApiError {
        ApiError::not_found(format!("Function not found: {}", self.arn()))
    }

    /// What somebody who invokes is told of a function that is not there.
    pub(crate) fn not_found(&self) -> ApiError {
        let qualifier = self.qualifier.as_deref().unwrap_or(LATEST);
        ApiError::not_found(format!("Function not found: {}", qualified_arn(&self.function, Some(qualifier))))
    }
}

/// An ARN of a function, of a version or of an alias.
pub(crate) fn qualified_arn(function: &str, qualifier: Option<&str>) -> String {
    let arn = glowplug_engine::function_arn(function);
    match qualifier {
        Some(qualifier) => format!("{arn}:{qualifier}"),
        None => arn,
    }
}

/// An ARN of a layer, or of a version of it.
pub(crate) fn layer_arn(name: &str, version: Option<u64>) -> String {
    let arn = format!("arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}");
    match version {
        Some(version) => format!("{arn}:{version}"),
        None => arn,
    }
}

/// The name of a layer that is written as one, or as an ARN.
pub(crate) fn layer_name(text: &str) -> &str {
    text.strip_prefix(&layer_arn("", None)).unwrap_or(text)
}

/// Whether a text can be the name of a function, a version or an alias.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Refuses what cannot be a qualifier.
pub(crate) fn check_qualifier(text: &str) -> Result<(), ApiError> {
    if text == LATEST || is_word(text) {
        return Ok(());
    }
    Err(ApiError::constraint(text, "qualifier", "satisfy regular expression pattern: (|[a-zA-Z0-9$_-]+)"))
}

/// The function and the qualifier of any of the forms.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    let mut parts: Vec<&str> = text.split(':').collect();
    if parts.first() == Some(&"arn") {
        // arn:aws:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]
        let known = parts.len() >= 7
            && parts[1].starts_with("aws")
            && parts[2] == "lambda"
            && parts[3] == REGION
            && parts[4] == ACCOUNT
            && parts[5] == "function";
        if !known {
            return None;
        }
        parts.drain(..6);
    } else {
        // [ACCOUNT:]function:NAME[:QUALIFIER], or ACCOUNT:NAME
        if parts.len() > 1 && parts[0].len() == 12 && parts[0].bytes().all(|byte| byte.is_ascii_digit()) {
            if parts[0] != ACCOUNT {
                return None;
            }
            parts.remove(0);
        }
        if parts.len() > 1 && parts[0] == "function" {
            parts.remove(0);
        }
    }
    let (function, qualifier) = match parts.as_slice() {
        [function] => (*function, None),
        [function, qualifier] => (*function, Some(*qualifier)),
        _ => return None,
    };
    let good = is_word(function)
        && function.len() <= LONGEST_NAME
        && qualifier.is_none_or(|qualifier| qualifier == LATEST || is_word(qualifier));
    good.then_some((function, qualifier))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str, query: Option<&str>) -> Option<(String, Option<String>)> {
        Named::parse(text, query).ok().map(|named| (named.function, named.qualifier))
    }

    #[test]
    fn every_form_names_the_same_function() {
        for text in [
            "report",
            "function:report",
            "123456789012:report",
            "123456789012:function:report",
            "arn:aws:lambda:us-east-1:123456789012:function:report",
        ] {
            assert_eq!(parsed(text, None), Some(("report".to_owned(), None)), "{text}");
            let live = Some(("report".to_owned(), Some("live".to_owned())));
            assert_eq!(parsed(&format!("{text}:live"), None), live, "{text}");
            assert_eq!(parsed(&format!("{text}:live"), Some("live")), live, "{text}");
            assert_eq!(parsed(text, Some("live")), live, "{text}");
        }
        assert_eq!(parsed("a:$LATEST", None), Some(("a".to_owned(), Some("$LATEST".to_owned()))));
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "a b",
            "a:b:c",
            "arn:aws:lambda:us-east-1:000000000000:function:a",
            "arn:aws:s3:::bucket",
            "000000000000:function:a",
            "a:",
            ":a",
            "a:$OTHER",
            &"a".repeat(65),
        ] {
            assert_eq!(parsed(text, None), None, "{text}");
        }
        let error = Named::parse("a:live", Some("other")).unwrap_err();
        assert!(error.message.contains("does not match"), "{}", error.message);
        assert_eq!(parsed("a", Some("x y")), None);
    }

    #[test]
    fn what_is_not_there_is_told_with_its_qualifier() {
        let message = Named::parse("nope", None).unwrap().not_found().message;
        assert_eq!(
            message,
            "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nope:$LATEST"
        );
    }

    proptest! {
        #[test]
        fn no_text_brings_the_parser_down(text in ".{0,80}", query in proptest::option::of(".{0,10}")) {
            if let Ok(named) = Named::parse(&text, query.as_deref()) {
                prop_assert!(is_word(&named.function));
                prop_assert_eq!(Named::parse(&named.arn(), None).unwrap(), named);
            }
        }
    }
}
