//! Import statements: the module that each asks for, and the name that each clause binds.

use ruff_python_ast::{Alias, StmtImport, StmtImportFrom};

use crate::{ImportStatement, ModuleId, Place};

/// The absolute name of what `from <dots><module> import …` asks for, in `id`'s module; `None` where the dots
/// lead out of the top package.
pub(crate) fn absolute(id: &ModuleId, level: u32, module: Option<&str>) -> Option<String> {
    if level == 0 {
        return module.map(str::to_owned);
    }
    let mut parts: Vec<&str> = id.name.split('.').collect();
    let up = level as usize - usize::from(id.is_package);
    if up >= parts.len() {
        return None;
    }
    parts.truncate(parts.len() - up);
    parts.extend(module);
    Some(parts.join("."))
}

impl ModuleId {
    /// The package that it is in, or its own name.
    pub(crate) fn top(&self) -> &str {
        self.name.split('.').next().unwrap_or(&self.name)
    }

    /// `pkg.sub.Name` for the `.sub.Name` of a module in `pkg`.
    pub(crate) fn absolute(&self, path: &str) -> String {
        let inner = path.trim_start_matches('.');
        let level = (path.len() - inner.len()) as u32;
        absolute(self, level, Some(inner)).unwrap_or_else(|| inner.to_owned())
    }
}

/// The name that a clause of a plain `import` binds.
pub(crate) fn bound_by_import(alias: &Alias) -> &str {
    match &alias.asname {
        Some(name) => name.as_str(),
        None => alias.name.as_str().split('.').next().unwrap_or_default(),
    }
}

/// The clauses of `import a.b, c as d`, with the names that they bind.
pub(crate) fn of_import(
    statement: &StmtImport,
    place: Place,
    end_line: u32,
) -> Vec<(String, ImportStatement)> {
    let clause = |(index, alias): (usize, &Alias)| {
        let text = match &alias.asname {
            Some(name) => format!("import {} as {name}", alias.name),
            None => format!("import {}", alias.name),
        };
        let statement = ImportStatement {
            place,
            end_line,
            clause: index as u32,
            module: alias.name.to_string(),
            attribute: None,
            binds_top: alias.asname.is_none(),
            text,
        };
        (bound_by_import(alias).to_owned(), statement)
    };
    statement.names.iter().enumerate().map(clause).collect()
}

/// The clauses of `from .a import b, c as d`, with the names that they bind; none for a star.
pub(crate) fn of_import_from(
    id: &ModuleId,
    statement: &StmtImportFrom,
    place: Place,
    end_line: u32,
) -> Vec<(String, ImportStatement)> {
    let from = statement.module.as_ref().map_or("", |module| module.as_str());
    let Some(module) =
        absolute(id, statement.level, statement.module.as_ref().map(ruff_python_ast::Identifier::as_str))
    else {
        return Vec::new();
    };
    let dots = ".".repeat(statement.level as usize);
    let clause = |(index, alias): (usize, &Alias)| {
        let renamed = alias.asname.as_ref().map_or_else(String::new, |name| format!(" as {name}"));
        let statement = ImportStatement {
            place,
            end_line,
            clause: index as u32,
            module: module.clone(),
            attribute: Some(alias.name.to_string()),
            binds_top: false,
            text: format!("from {dots}{from} import {}{renamed}", alias.name),
        };
        (alias.asname.as_ref().unwrap_or(&alias.name).to_string(), statement)
    };
    let named = |(_, alias): &(usize, &Alias)| alias.name.as_str() != "*";
    statement.names.iter().enumerate().filter(named).map(clause).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str, is_package: bool) -> ModuleId {
        ModuleId { name: name.to_owned(), is_package, path: "x.py".into() }
    }

    #[test]
    fn relative_names_resolve_as_in_python() {
        for (module, package, level, from, expected) in [
            ("a.b", false, 0, Some("x.y"), Some("x.y")),
            ("a.b", false, 1, Some("c"), Some("a.c")),
            ("a.b", false, 1, None, Some("a")),
            ("a.b", true, 1, Some("c"), Some("a.b.c")),
            ("a.b", true, 1, None, Some("a.b")),
            ("a.b", true, 2, Some("c"), Some("a.c")),
            ("a", true, 1, Some("c"), Some("a.c")),
            ("a", false, 1, Some("c"), None),
            ("a", true, 2, Some("c"), None),
        ] {
            assert_eq!(
                absolute(&id(module, package), level, from).as_deref(),
                expected,
                "{module} {level} {from:?}"
            );
        }
    }
}
