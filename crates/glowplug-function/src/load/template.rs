//! What a SAM template says about its Python functions.
//!
//! Reference: "AWS SAM resource and property reference, AWS::Serverless::Function",
//! <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-resource-function.html>.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use glowplug_core::{Error, Result};

use super::source::Source;
use super::yaml::{Node, Value};
use crate::suggest::{listed, nearest};

/// Names of a template, in order of preference.
const FILES: [&str; 3] = ["template.yaml", "template.yml", "template.json"];

/// One function of a template; what it does not say is missing.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Template {
    /// Its logical id.
    pub(crate) id: String,
    pub(crate) name: String,
    /// `file:line` of the function.
    pub(crate) place: String,
    pub(crate) handler: Option<String>,
    pub(crate) runtime: Option<String>,
    /// Relative to the template.
    pub(crate) code: Option<Utf8PathBuf>,
    pub(crate) memory: Option<u32>,
    pub(crate) timeout: Option<u32>,
    pub(crate) architecture: Option<String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// Relative to the template.
    pub(crate) layers: Vec<Utf8PathBuf>,
    pub(crate) notes: Vec<String>,
    /// Whether it is the template's only function in Python.
    pub(crate) alone: bool,
}

/// The template in the folder, or the one that the user named.
pub(crate) fn find(source: &Source, named: Option<&Utf8Path>) -> Option<Utf8PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => FILES.iter().map(Utf8PathBuf::from).find(|path| source.is_file(path)),
    }
}

/// The function of the template that `wanted` names, or its only one; `None` where it has no Python function.
///
/// # Errors
/// Input: no YAML, a value of the wrong kind, no such function, several and none named.
pub(crate) fn read(source: &Source, path: &Utf8Path, wanted: Option<&str>) -> Result<Option<Template>> {
    let place = source.place(path);
    let bytes = source.read(path)?.unwrap_or_default();
    let text = String::from_utf8(bytes)
        .map_err(|error| Error::input("the template is not valid UTF-8").cause(error).place(&place))?;
    let document = Node::parse(&text, &place)?;
    let reader = Reader { document: &document, place: &place };
    let mut functions = reader.functions();
    if functions.is_empty() && wanted.is_none() {
        return Ok(None);
    }
    let names: Vec<String> = functions.iter().map(|(id, node)| reader.name(id, node)).collect();
    let index = match wanted {
        Some(wanted) => {
            functions.iter().zip(&names).position(|((id, _), name)| *id == wanted || name == wanted)
        }
        None if functions.len() == 1 => Some(0),
        None => None,
    };
    match index {
        Some(index) => {
            let alone = functions.len() == 1;
            let (id, node) = functions.swap_remove(index);
            Ok(Some(Template { alone, ..reader.function(id, node)? }))
        }
        None => Err(choose(wanted, &names).place(place)),
    }
}

fn choose(wanted: Option<&str>, names: &[String]) -> Error {
    let list = listed(names.iter().map(String::as_str));
    match wanted {
        None => Error::input("the template has several functions")
            .cause(format!("they are {list}"))
            .hint("name the one that is meant with `--function NAME`"),
        Some(wanted) => {
            let error = Error::input(format!("the template has no Python function `{wanted}`"))
                .cause(format!("it has {list}"));
            match nearest(wanted, names.iter().map(String::as_str)) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            }
        }
    }
}

struct Reader<'a> {
    document: &'a Node,
    place: &'a str,
}

impl<'a> Reader<'a> {
    /// Its functions in Python with code in a folder or a zip, by logical id.
    fn functions(&self) -> Vec<(&'a str, &'a Node)> {
        let resources = self.document.get("Resources").map(Node::entries).unwrap_or_default();
        resources
            .iter()
            .filter(|(_, node)| {
                matches!(
                    node.get("Type").and_then(Node::text),
                    Some("AWS::Serverless::Function" | "AWS::Lambda::Function")
                )
            })
            .filter(|(_, node)| {
                let property = |key| self.property(node, key).and_then(|node| self.resolve(node));
                let zipped = property("PackageType").is_none_or(|kind| kind == "Zip");
                let inline = self.property(node, "InlineCode").is_some();
                zipped && !inline && property("Runtime").is_none_or(|runtime| runtime.starts_with("python"))
            })
            .map(|(id, node)| (id.as_str(), node))
            .collect()
    }

    fn globals(&self) -> Option<&'a Node> {
        self.document.get("Globals")?.get("Function")
    }

    fn own(node: &'a Node, key: &str) -> Option<&'a Node> {
        node.get("Properties")?.get(key)
    }

    /// A property of the function, else of all functions.
    fn property(&self, node: &'a Node, key: &str) -> Option<&'a Node> {
        Self::own(node, key).or_else(|| self.globals()?.get(key))
    }

    fn name(&self, id: &str, node: &'a Node) -> String {
        Self::own(node, "FunctionName").and_then(|node| self.resolve(node)).unwrap_or_else(|| id.to_owned())
    }

    /// The text of a scalar; a reference to a parameter with a default is that default.
    fn resolve(&self, node: &'a Node) -> Option<String> {
        match &node.value {
            Value::Text(text) => Some(text.clone()),
            Value::Function(name, argument) if name == "Ref" => {
                let parameter = self.document.get("Parameters")?.get(argument.text()?)?;
                parameter.get("Default")?.text().map(str::to_owned)
            }
            Value::Function(name, argument) if name == "Sub" => {
                argument.text().filter(|text| !text.contains("${")).map(str::to_owned)
            }
            _ => None,
        }
    }

    fn at(&self, node: &Node) -> String {
        format!("{}:{}", self.place, node.line)
    }

    fn function(&self, id: &'a str, node: &'a Node) -> Result<Template> {
        let mut template = Template {
            id: id.to_owned(),
            name: self.name(id, node),
            place: self.at(node),
            ..Template::default()
        };
        let notes = &mut template.notes;
        template.handler = self.text(node, "Handler", notes);
        template.runtime = self.text(node, "Runtime", notes);
        template.memory = self.number(node, "MemorySize", notes)?;
        template.timeout = self.number(node, "Timeout", notes)?;
        template.architecture = match self.property(node, "Architectures").map(|node| &node.value) {
            Some(Value::List(machines)) => machines.first().and_then(|machine| self.resolve(machine)),
            _ => None,
        };
        template.code = self.code(node)?;
        for owner in [self.globals(), node.get("Properties")].into_iter().flatten() {
            let variables = owner.get("Environment").and_then(|node| node.get("Variables"));
            for (name, value) in variables.map(Node::entries).unwrap_or_default() {
                match self.resolve(value) {
                    Some(text) => {
                        template.environment.insert(name.clone(), text);
                    }
                    None => template.notes.push(format!(
                        "{}: the variable `{name}` is known only once deployed, and is left out: set it under `[environment]`",
                        self.at(value)
                    )),
                }
            }
            for layer in owner.get("Layers").into_iter().flat_map(Self::items) {
                match self.layer(layer) {
                    Some(path) => template.layers.push(path),
                    None => template.notes.push(format!(
                        "{}: a layer that is no folder of this project is left out: name a local copy under `layers`",
                        self.at(layer)
                    )),
                }
            }
        }
        Ok(template)
    }

    fn items(node: &'a Node) -> &'a [Node] {
        match &node.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    fn text(&self, node: &'a Node, key: &str, notes: &mut Vec<String>) -> Option<String> {
        let value = self.property(node, key)?;
        let text = self.resolve(value);
        if text.is_none() {
            notes.push(format!("{}: `{key}` is known only once deployed, and is left out", self.at(value)));
        }
        text
    }

    fn number(&self, node: &'a Node, key: &str, notes: &mut Vec<String>) -> Result<Option<u32>> {
        let Some(text) = self.text(node, key, notes) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| {
            let place = self.property(node, key).map_or_else(String::new, |node| self.at(node));
            Error::input(format!("`{key}` is not a number: `{text}`")).place(place)
        })
    }

    fn code(&self, node: &'a Node) -> Result<Option<Utf8PathBuf>> {
        let Some(value) = self.property(node, "CodeUri").or_else(|| Self::own(node, "Code")) else {
            return Ok(None);
        };
        match self.resolve(value).filter(|path| !path.contains("://")) {
            Some(path) => Ok(Some(path.into())),
            None => Err(Error::input("the function's code is not in a folder of this project")
                .place(self.at(value))
                .hint("name the folder or the zip itself instead of the template")),
        }
    }

    /// The folder of a layer that the same template defines.
    fn layer(&self, node: &'a Node) -> Option<Utf8PathBuf> {
        let id = match &node.value {
            Value::Function(name, argument) if name == "Ref" => argument.text()?,
            _ => return None,
        };
        let layer = self.document.get("Resources")?.get(id)?;
        let path = Self::own(layer, "ContentUri").or_else(|| Self::own(layer, "Content"))?;
        self.resolve(path).filter(|path| !path.contains("://")).map(Utf8PathBuf::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fs_err as fs;

    const SHOP: &str = r"
AWSTemplateFormatVersion: '2010-09-09'
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: test}
Globals:
  Function:
    Runtime: python3.12
    Timeout: 10
    MemorySize: 256
    Environment:
      Variables: {STAGE: !Ref Stage, TABLE: !Ref Table, LEVEL: INFO}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
  Common:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: layers/common}
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: shop-orders
      CodeUri: orders/
      Handler: app.handler
      MemorySize: 512
      Architectures: [arm64]
      Environment:
        Variables: {LEVEL: DEBUG}
      Layers:
        - !Ref Common
        - !Sub arn:aws:lambda:${AWS::Region}:1:layer:x:1
  Bill:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: bill/, Handler: bill.handler}
  Web:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: web/, Handler: index.handler, Runtime: nodejs22.x}
";

    fn shop(text: &str, wanted: Option<&str>) -> Result<Option<Template>> {
        let keep = tempfile::tempdir().unwrap();
        let root = crate::store::utf8(keep.path()).unwrap();
        fs::write(root.join("template.yaml"), text).unwrap();
        read(&Source::Folder(root.to_owned()), Utf8Path::new("template.yaml"), wanted)
    }

    #[test]
    fn globals_and_properties_merge() {
        let orders = shop(SHOP, Some("Orders")).unwrap().unwrap();
        assert_eq!(
            orders,
            Template {
                place: orders.place.clone(),
                notes: orders.notes.clone(),
                ..shop(SHOP, Some("shop-orders")).unwrap().unwrap()
            }
        );
        assert_eq!(orders.name, "shop-orders");
        assert_eq!(orders.handler.as_deref(), Some("app.handler"));
        assert_eq!(orders.runtime.as_deref(), Some("python3.12"));
        assert_eq!((orders.memory, orders.timeout), (Some(512), Some(10)));
        assert_eq!(orders.architecture.as_deref(), Some("arm64"));
        assert_eq!(orders.code.as_deref(), Some(Utf8Path::new("orders/")));
        let environment: Vec<(&str, &str)> =
            orders.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(environment, [("LEVEL", "DEBUG"), ("STAGE", "test")]);
        assert_eq!(orders.layers, ["layers/common"]);
        assert_eq!(orders.notes.len(), 2, "{:?}", orders.notes);
        assert!(orders.notes[0].contains(":12: the variable `TABLE`"), "{:?}", orders.notes);
    }

    #[test]
    fn several_functions_ask_for_one() {
        let error = shop(SHOP, None).unwrap_err();
        assert_eq!(error.causes(), ["they are `shop-orders` and `Bill`"]);
        assert_eq!(shop(SHOP, Some("Bil")).unwrap_err().hints(), ["did you mean `Bill`?"]);
        assert_eq!(
            shop(SHOP, Some("Web")).unwrap_err().message(),
            "the template has no Python function `Web`"
        );
    }

    #[test]
    fn templates_without_python_say_nothing() {
        assert_eq!(shop("Resources:\n  T: {Type: AWS::DynamoDB::Table}\n", None).unwrap(), None);
    }

    #[test]
    fn values_of_the_wrong_kind_name_their_line() {
        let text = SHOP.replace("MemorySize: 512", "MemorySize: much");
        let error = shop(&text, Some("Orders")).unwrap_err();
        assert!(error.where_().unwrap().ends_with("template.yaml:25"), "{error}");
        let text = SHOP.replace("CodeUri: orders/", "CodeUri: s3://bucket/key");
        assert!(shop(&text, Some("Orders")).unwrap_err().message().contains("not in a folder"));
    }
}
