//! How a user names a function: by name, by ARN, with or without a qualifier.

use glowplug_core::{Error, Result};

/// Longest name or ARN (`FunctionName` of the service model).
const LONGEST: usize = 170;

/// A function and, where it was named, one of its versions or aliases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    /// The name or the ARN without a qualifier.
    pub(crate) function: String,
    pub(crate) qualifier: Option<String>,
}

impl Named {
    /// Reads `name`, `name:qualifier`, `account:function:name` or an ARN, each with or without a qualifier.
    pub(crate) fn parse(text: &str, qualifier: Option<&str>) -> Result<Self> {
        let bad = |why: &str| {
            Error::usage(format!("`{text}` names no function in Lambda"))
                .cause(why)
                .hint("give its name, or its ARN: `arn:aws:lambda:REGION:ACCOUNT:function:NAME`")
        };
        if text.len() > LONGEST {
            return Err(bad(&format!("it is longer than {LONGEST} characters")));
        }
        let parts: Vec<&str> = text.split(':').collect();
        let own = match parts.as_slice() {
            ["arn", _, "lambda", _, _, "function", _, rest @ ..] => rest,
            ["arn", ..] => return Err(bad("it is the ARN of something else")),
            [_, "function", _, rest @ ..] => rest,
            [_, rest @ ..] => rest,
            [] => return Err(bad("it is empty")),
        };
        let (function, inner) = match own {
            [] => (text, None),
            [inner] => (&text[..text.len() - inner.len() - 1], Some(*inner)),
            _ => return Err(bad("it has too many parts")),
        };
        let name = function.rsplit(':').next().unwrap_or_default();
        let is_word = |word: &str| {
            !word.is_empty()
                && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        };
        if !is_word(name) {
            return Err(bad("a name has letters, digits, `-` and `_`"));
        }
        let qualifier = match (inner, qualifier) {
            (Some(one), Some(other)) if one != other => {
                return Err(bad(&format!("its qualifier is `{one}`, and `{other}` is asked for")));
            }
            (inner, given) => inner.or(given),
        };
        if qualifier.is_some_and(|qualifier| qualifier != "$LATEST" && !is_word(qualifier)) {
            return Err(bad("its qualifier is neither a version nor an alias"));
        }
        // `$LATEST` is what is tuned.
        let qualifier = qualifier.filter(|qualifier| *qualifier != "$LATEST").map(str::to_owned);
        Ok(Self { function: function.to_owned(), qualifier })
    }

    /// The region of an ARN.
    pub(crate) fn region(&self) -> Option<&str> {
        let mut parts = self.function.split(':');
        (parts.next() == Some("arn")).then(|| parts.nth(2)).flatten().filter(|region| !region.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> (String, Option<String>) {
        let Named { function, qualifier } = Named::parse(text, None).unwrap();
        (function, qualifier)
    }

    #[test]
    fn every_form_is_read() {
        let own =
            |function: &str, qualifier: Option<&str>| (function.to_owned(), qualifier.map(str::to_owned));
        assert_eq!(named("report"), own("report", None));
        assert_eq!(named("report:live"), own("report", Some("live")));
        assert_eq!(named("report:$LATEST"), own("report", None));
        assert_eq!(named("123:function:report"), own("123:function:report", None));
        assert_eq!(named("123:function:report:7"), own("123:function:report", Some("7")));
        let arn = "arn:aws:lambda:eu-west-1:123456789012:function:report";
        assert_eq!(named(arn), own(arn, None));
        assert_eq!(named(&format!("{arn}:live")), own(arn, Some("live")));
        assert_eq!(Named::parse(arn, None).unwrap().region(), Some("eu-west-1"));
        assert_eq!(Named::parse("report", Some("live")).unwrap().qualifier.as_deref(), Some("live"));
    }

    #[test]
    fn what_names_no_function_is_refused() {
        for text in ["", "a b", "arn:aws:s3:::bucket", "report:a:b:c", "report:li ve", &"x".repeat(171)] {
            assert!(Named::parse(text, None).is_err(), "{text}");
        }
        assert!(Named::parse("report:live", Some("other")).is_err());
    }
}
