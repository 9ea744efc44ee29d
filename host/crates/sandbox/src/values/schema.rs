//! WIT types as JSON Schema (draft 2020-12): what `from_json` takes, and what `to_json` gives.

use serde_json::{Map, Value as Json, json};
use wasmtime::component::{Type, types};

use crate::exports::{Function, FunctionKind, Parameter};

/// Most parts of a type that are spelled out; what is beyond them may be anything. Types of people have fewer than a
/// hundred.
const PARTS_MAX: usize = 10_000;

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaOf {
    /// Arguments as a manifest has them, with templates.
    Written,
    /// Arguments as they come at last, without templates.
    Given,
    /// What a function returned, as the run's output.
    Output,
}

/// The schema of a type.
#[must_use]
pub fn type_schema(ty: &Type, of: SchemaOf) -> Json {
    Writer { of, n_parts: 0 }.schema(ty)
}

impl Function {
    /// The schema of its arguments: a map by name, or a list by position; of a command, a list of words.
    #[must_use]
    pub fn arguments_schema(&self, of: SchemaOf) -> Json {
        let mut schema = match self.kind {
            FunctionKind::Command => {
                json!({ "type": ["array", "null"], "items": { "type": ["string", "number", "boolean"] } })
            }
            FunctionKind::Function => {
                let named = self.named(of);
                if of == SchemaOf::Written {
                    json!({ "if": { "type": "array" }, "then": self.listed(of), "else": named })
                } else {
                    named
                }
            }
        };
        if let Some(docs) = &self.docs {
            schema["description"] = json!(docs);
        }
        schema
    }

    /// Whether it can be called without any argument.
    #[must_use]
    pub fn needs_arguments(&self) -> bool {
        self.kind == FunctionKind::Function && self.parameters.iter().any(Parameter::is_required)
    }

    /// The schema of the output of a run that succeeded; absent for a function that returns nothing.
    #[must_use]
    pub fn output_schema(&self) -> Option<Json> {
        let success = match (&self.kind, &self.result) {
            (FunctionKind::Command, _) | (_, None) => None,
            (_, Some(Type::Result(result))) => result.ok(),
            (_, Some(ty)) => Some(ty.clone()),
        };
        success.map(|ty| type_schema(&ty, SchemaOf::Output))
    }

    fn named(&self, of: SchemaOf) -> Json {
        let parameters = self.parameters.iter();
        let properties: Map<_, _> =
            parameters.map(|parameter| (parameter.name.clone(), type_schema(&parameter.ty, of))).collect();
        let required: Vec<_> =
            self.parameters.iter().filter(|p| p.is_required()).map(|parameter| &parameter.name).collect();
        let kind = if required.is_empty() { json!(["object", "null"]) } else { json!("object") };
        json!({ "type": kind, "properties": properties, "required": required, "additionalProperties": false })
    }

    fn listed(&self, of: SchemaOf) -> Json {
        let items: Vec<_> = self.parameters.iter().map(|parameter| type_schema(&parameter.ty, of)).collect();
        let n_required = self.parameters.iter().rposition(Parameter::is_required).map_or(0, |last| last + 1);
        list_of(items, n_required)
    }
}

/// A list with a schema for each place. An empty list of schemas is not allowed to stand in a schema.
fn list_of(items: Vec<Json>, n_min: usize) -> Json {
    if items.is_empty() {
        return json!({ "type": "array", "maxItems": 0 });
    }
    let n_max = items.len();
    json!({ "type": "array", "prefixItems": items, "items": false, "minItems": n_min, "maxItems": n_max })
}

struct Writer {
    of: SchemaOf,
    n_parts: usize,
}

impl Writer {
    /// The type, or where that is allowed a template in its place.
    fn schema(&mut self, ty: &Type) -> Json {
        self.n_parts += 1;
        if PARTS_MAX < self.n_parts {
            return json!({});
        }
        let schema = self.plain(ty);
        match (self.of, ty) {
            (SchemaOf::Given | SchemaOf::Output, _) | (_, Type::String) => schema,
            // Their values are text, so that a template may stand in the middle of one.
            (SchemaOf::Written, Type::Char | Type::Enum(_) | Type::Variant(_)) => or_template(schema, "\\$\\{"),
            (SchemaOf::Written, _) => or_template(schema, "^\\$\\{"),
        }
    }

    fn plain(&mut self, ty: &Type) -> Json {
        match ty {
            Type::Bool => json!({ "type": "boolean" }),
            Type::S8 => integer(i8::MIN.into(), i8::MAX.unsigned_abs().into()),
            Type::U8 => integer(0, u8::MAX.into()),
            Type::S16 => integer(i16::MIN.into(), i16::MAX.unsigned_abs().into()),
            Type::U16 => integer(0, u16::MAX.into()),
            Type::S32 => integer(i32::MIN.into(), i32::MAX.unsigned_abs().into()),
            Type::U32 => integer(0, u32::MAX.into()),
            Type::S64 => integer(i64::MIN, i64::MAX.unsigned_abs()),
            Type::U64 => integer(0, u64::MAX),
            Type::Float32 | Type::Float64 => {
                json!({ "anyOf": [{ "type": "number" }, { "enum": [".nan", ".inf", "-.inf", "nan", "inf", "-inf"] }] })
            }
            Type::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            Type::String => json!({ "type": "string" }),
            Type::List(list) => self.list(&list.ty()),
            Type::FixedLengthList(list) => {
                let mut schema = self.list(&list.ty());
                (schema["minItems"], schema["maxItems"]) = (json!(list.len()), json!(list.len()));
                schema
            }
            Type::Map(map) => json!({ "type": "object", "additionalProperties": self.schema(&map.value()) }),
            Type::Tuple(tuple) => {
                let items: Vec<_> = tuple.types().map(|ty| self.schema(&ty)).collect();
                let n_items = items.len();
                list_of(items, n_items)
            }
            Type::Record(record) => self.record(record),
            Type::Variant(variant) => self.variant(variant),
            Type::Enum(names) => json!({ "enum": names.names().collect::<Vec<_>>() }),
            Type::Flags(flags) => {
                let names: Vec<_> = flags.names().collect();
                let word = json!({ "enum": names });
                let word = if self.of == SchemaOf::Written { or_template(word, "\\$\\{") } else { word };
                json!({ "type": "array", "items": word })
            }
            Type::Option(option) => self.option(&option.ty()),
            Type::Result(result) => {
                let cases = [("ok", result.ok()), ("err", result.err())].map(|(name, ty)| self.case(name, ty.as_ref()));
                json!({ "anyOf": cases.concat() })
            }
            Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => json!(false),
        }
    }

    fn list(&mut self, item: &Type) -> Json {
        let list = json!({ "type": "array", "items": self.schema(item) });
        if !matches!(item, Type::U8) {
            return list;
        }
        let text = json!({ "type": "string", "contentEncoding": "base64" });
        let file = single("file", json!({ "type": "string" }));
        match self.of {
            SchemaOf::Written | SchemaOf::Given => json!({ "anyOf": [text, list, file] }),
            SchemaOf::Output => json!({ "anyOf": [text, list] }),
        }
    }

    fn record(&mut self, record: &types::Record) -> Json {
        let fields: Vec<_> = record.fields().map(|field| (field.name.to_owned(), field.ty)).collect();
        let is_required = |ty: &Type| self.of == SchemaOf::Output || !matches!(ty, Type::Option(_));
        let required: Vec<_> = fields.iter().filter(|(_, ty)| is_required(ty)).map(|(name, _)| name.clone()).collect();
        let properties: Map<_, _> = fields.iter().map(|(name, ty)| (name.clone(), self.schema(ty))).collect();
        json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
    }

    fn variant(&mut self, variant: &types::Variant) -> Json {
        let cases: Vec<_> = variant.cases().map(|case| (case.name.to_owned(), case.ty)).collect();
        let schemas: Vec<_> = cases.iter().map(|(name, ty)| self.case(name, ty.as_ref())).collect();
        json!({ "anyOf": schemas.concat() })
    }

    /// A case of a variant or of a result: `name`, or `{name: value}`.
    fn case(&mut self, name: &str, ty: Option<&Type>) -> Vec<Json> {
        let word = json!({ "const": name });
        match ty {
            None => vec![word, single(name, json!({ "type": "null" }))],
            Some(ty) if matches!(ty, Type::Option(_)) => vec![word, single(name, self.schema(ty))],
            Some(ty) => vec![single(name, self.schema(ty))],
        }
    }

    fn option(&mut self, inner: &Type) -> Json {
        let nothing = json!({ "type": "null" });
        let value = self.schema(inner);
        match inner {
            Type::Option(_) => json!({ "anyOf": [nothing, single("some", value.clone()), value] }),
            _ => json!({ "anyOf": [nothing, value] }),
        }
    }
}

fn integer(low: i64, high: u64) -> Json {
    json!({ "type": "integer", "minimum": low, "maximum": high })
}

fn single(name: &str, value: Json) -> Json {
    let properties = Map::from_iter([(name.to_owned(), value)]);
    json!({ "type": "object", "properties": properties, "required": [name], "additionalProperties": false })
}

/// A template may stand in the place of a value.
fn or_template(schema: Json, pattern: &str) -> Json {
    json!({ "anyOf": [schema, { "type": "string", "pattern": pattern }] })
}
