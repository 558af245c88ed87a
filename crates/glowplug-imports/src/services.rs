//! Calls that make AWS clients: which services they name.

use std::collections::BTreeSet;

use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, Stmt};

/// Methods of boto3 and its sessions whose first argument is a service's name.
const MAKERS: [&str; 3] = ["client", "resource", "create_client"];

/// What a module's client calls say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceCalls {
    /// Services that are named by literals.
    pub named: BTreeSet<String>,
    /// Whether some call names its service by something else, or a maker is passed on as a value.
    pub others: bool,
}

/// Looks for `….client("name")`, `….resource("name")` and `….create_client("name")` in a module. A
/// source that does not parse is unknown.
pub fn service_calls(source: &str) -> ServiceCalls {
    let mut search = Search(ServiceCalls::default());
    match ruff_python_parser::parse_module(source) {
        Ok(parsed) => search.visit_body(parsed.suite()),
        Err(_) => search.0.others = true,
    }
    search.0
}

struct Search(ServiceCalls);

impl Search {
    fn call(&mut self, call: &ExprCall) {
        let named = call
            .arguments
            .args
            .first()
            .or_else(|| call.arguments.find_keyword("service_name").map(|keyword| &keyword.value));
        match named {
            Some(Expr::StringLiteral(name)) => {
                self.0.named.insert(name.value.to_str().to_owned());
            }
            _ => self.0.others = true,
        }
    }
}

impl<'a> Visitor<'a> for Search {
    /// `from boto3 import client`: whatever it is called then.
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::ImportFrom(import) = statement
            && import.module.as_deref() == Some("boto3")
        {
            self.0.others |= import.names.iter().any(|alias| {
                let name = alias.name.as_str();
                MAKERS.contains(&name) || name == "*"
            });
        }
        walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Call(call) => {
                if let Expr::Attribute(attribute) = call.func.as_ref()
                    && MAKERS.contains(&attribute.attr.as_str())
                {
                    self.call(call);
                    self.visit_expr(&attribute.value);
                    self.visit_arguments(&call.arguments);
                    return;
                }
                // `getattr(boto3, "client")` and the like.
                if let Expr::Name(name) = call.func.as_ref() {
                    let maker = call.arguments.args.get(1).is_some_and(
                        |arg| matches!(arg, Expr::StringLiteral(text) if MAKERS.contains(&text.value.to_str())),
                    );
                    self.0.others |= name.id.as_str() == "getattr" && maker;
                }
            }
            // A maker that is not called here may be called anywhere.
            Expr::Attribute(attribute) if matches!(attribute.value.as_ref(), Expr::Name(name) if name.id.as_str() == "boto3") =>
            {
                self.0.others |= MAKERS.contains(&attribute.attr.as_str());
            }
            _ => {}
        }
        walk_expr(self, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(names: &[&str]) -> ServiceCalls {
        ServiceCalls { named: names.iter().map(|n| (*n).to_owned()).collect(), others: false }
    }

    #[test]
    fn literals_are_collected_wherever_the_call_stands() {
        let source = "import boto3\nsession = boto3.Session()\ndef f():\n    return boto3.client('s3'), session.resource(service_name='dynamodb')\n";
        assert_eq!(service_calls(source), literal(&["s3", "dynamodb"]));
    }

    #[test]
    fn anything_else_is_unknown() {
        for source in [
            "import boto3\ndef f(name): return boto3.client(name)\n",
            "import boto3\nmake = boto3.client\n",
            "import boto3\nmake = getattr(boto3, 'resource')\n",
            "boto3.client(",
            "from boto3 import client as make\nmake('s3')\n",
        ] {
            assert!(service_calls(source).others, "{source}");
        }
    }

    #[test]
    fn an_attribute_of_another_object_is_no_maker() {
        assert_eq!(service_calls("request.client.host\nself.client.send('x')\n"), literal(&[]));
    }
}
