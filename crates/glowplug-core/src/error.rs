//! The one error type: what failed, where, why, and what to do next, with the class that gives the exit code.

use std::fmt;

/// Result of everything that can fail in glowplug.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act; decides the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The function, its configuration or its dependencies are at fault, or a check failed: exit code 1.
    Input,
    /// The command line is wrong, or glowplug has a defect: exit code 2.
    Usage,
    /// Disk, network, a missing interpreter or a kernel that lacks a feature: exit code 3.
    Surroundings,
    /// The user pressed Ctrl-C: exit code 130.
    Interrupted,
}

impl ErrorClass {
    /// The exit code that scripts see.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Input => 1,
            Self::Usage => 2,
            Self::Surroundings => 3,
            Self::Interrupted => 130,
        }
    }
}

/// An error that a person can act on.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    class: ErrorClass,
    message: String,
    place: Option<String>,
    causes: Vec<String>,
    hints: Vec<String>,
}

impl Error {
    fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            class,
            message: message.into(),
            place: None,
            causes: Vec::new(),
            hints: Vec::new(),
        }))
    }

    /// The function or its configuration is at fault.
    pub fn input(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Input, message)
    }

    /// The command line is at fault.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Usage, message)
    }

    /// glowplug itself is at fault: an invariant does not hold.
    pub fn defect(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Usage, message)
            .hint("this is a defect of glowplug: please report it with the command you ran")
    }

    /// Disk, network, interpreter or kernel are at fault.
    pub fn surroundings(message: impl Into<String>) -> Self {
        Self::new(ErrorClass::Surroundings, message)
    }

    /// The user asked to stop.
    pub fn interrupted() -> Self {
        Self::new(ErrorClass::Interrupted, "interrupted")
    }

    /// Where it happened: a path, `path:line` or a URL.
    pub fn place(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    /// Why it happened, outermost first; may be called several times.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.0.causes.push(cause.to_string());
        self
    }

    /// What to do next; may be called several times.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Says which of several functions it is about.
    pub fn of_function(mut self, name: &str) -> Self {
        if self.0.class != ErrorClass::Interrupted {
            self.0.message = format!("`{name}`: {}", self.0.message);
        }
        self
    }

    /// Whose fault it is.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// One sentence without the place, causes and hints.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened, if known.
    pub fn where_(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// The causes, outermost first.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// The next steps.
    pub fn hints(&self) -> &[String] {
        &self.0.hints
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for cause in &self.0.causes {
            write!(f, ": {cause}")?;
        }
        if let Some(place) = &self.0.place {
            write!(f, " ({place})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// File errors are the surroundings' fault unless the caller knows better; `fs_err` puts the path into the text.
impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        let made = Self::surroundings("a file operation failed").cause(&error);
        match error.kind() {
            std::io::ErrorKind::StorageFull => {
                made.hint("free some disk space, or point `--cache-dir` and `--out` at another disk")
            }
            std::io::ErrorKind::PermissionDenied => made.hint("check the owner and the mode of that path"),
            _ => made,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_the_contract() {
        assert_eq!(Error::input("x").class().exit_code(), 1);
        assert_eq!(Error::defect("x").class().exit_code(), 2);
        assert_eq!(Error::surroundings("x").class().exit_code(), 3);
        assert_eq!(Error::interrupted().class().exit_code(), 130);
    }

    #[test]
    fn display_names_cause_and_place() {
        let error = Error::input("cannot read the event").cause("expected `,`").place("events/a.json:3");
        assert_eq!(error.to_string(), "cannot read the event: expected `,` (events/a.json:3)");
    }
}
