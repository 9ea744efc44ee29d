//! JSON to component values, guided by the WIT type.
//!
//! | WIT | JSON or YAML |
//! |---|---|
//! | `bool`, `string` | the same |
//! | `u8` to `s64` | a whole number, exact to 64 bits |
//! | `f32`, `f64` | a number, or one of `.nan`, `.inf`, `-.inf` |
//! | `char` | text of one character |
//! | `list<T>`, `tuple<…>` | a list |
//! | `list<u8>` | base64 text, a list of numbers, or `{file: PATH}` for what a file of at most 1 MiB holds |
//! | `record` | a map; fields of an option type may be left out |
//! | `variant` | `case`, or `{case: value}` |
//! | `enum` | a word |
//! | `flags` | a list of words |
//! | `option<T>` | nothing (`null`), or the value |
//! | `option<option<T>>` | nothing, or `{some: …}` around the inner option; any other value stands for itself in both |
//! | `result<T, E>` | `{ok: value}` or `{err: value}`; without a value also `ok` or `err` |
//! | `map<K, V>` | a map; keys that are no text are written as their JSON |

use std::{io::Read as _, path::Path};

use base64::Engine as _;
use clockjack_schedule::diagnostic::did_you_mean;
use serde_json::Value as Json;
use wasmtime::component::{Type, Val, types};

use super::{
    templates::{self, Texts},
    typename::type_name,
};

/// Largest file that becomes an argument: each byte takes the host forty while it waits.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What does not fit, and where below the value that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Such as `filters[2].op`; empty for the value itself.
    pub(crate) path: String,
    /// Whether the key at that path is wrong, and not its value.
    pub(crate) is_key: bool,
    /// What is wrong.
    pub(crate) message: String,
}

impl Misfit {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), is_key: false, message: message.into() }
    }

    fn below(mut self, step: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

/// Reads values for a call.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    /// How texts are read.
    pub(crate) texts: Texts<'a>,
    /// Where the relative paths of `{file: …}` start. Absent where the value is not the manifest's own: a payload names no
    /// files of the host.
    pub(crate) folder: Option<&'a Path>,
}

impl Reader<'_> {
    /// Converts one value.
    pub(crate) fn read(&self, ty: &Type, json: &Json) -> Result<Val, Misfit> {
        if let Json::String(text) = json
            && let Some(value) = templates::read(self, ty, text)
        {
            return value;
        }
        match ty {
            Type::Bool => json.as_bool().map(Val::Bool).ok_or_else(|| expected(ty, json)),
            Type::S8 => integer(ty, json).map(Val::S8),
            Type::U8 => integer(ty, json).map(Val::U8),
            Type::S16 => integer(ty, json).map(Val::S16),
            Type::U16 => integer(ty, json).map(Val::U16),
            Type::S32 => integer(ty, json).map(Val::S32),
            Type::U32 => integer(ty, json).map(Val::U32),
            Type::S64 => integer(ty, json).map(Val::S64),
            Type::U64 => integer(ty, json).map(Val::U64),
            Type::Float32 => float(ty, json).and_then(|x| narrow(x, json)).map(Val::Float32),
            Type::Float64 => float(ty, json).map(Val::Float64),
            Type::Char => character(ty, json),
            Type::String => json.as_str().map(|text| Val::String(text.to_owned())).ok_or_else(|| expected(ty, json)),
            Type::List(list) => self.list(ty, &list.ty(), json).map(Val::List),
            Type::FixedLengthList(list) => {
                let values = self.list(ty, &list.ty(), json)?;
                if u32::try_from(values.len()) != Ok(list.len()) {
                    return Err(Misfit::new(format!("expected {} items, found {}", list.len(), values.len())));
                }
                Ok(Val::FixedLengthList(values))
            }
            Type::Map(map) => self.entries(ty, map, json).map(Val::Map),
            Type::Tuple(tuple) => self.tuple(ty, tuple, json),
            Type::Record(record) => self.record(ty, record, json),
            Type::Variant(variant) => self.variant(ty, variant, json),
            Type::Enum(names) => word(names.names(), json).map(Val::Enum),
            Type::Flags(names) => self.flags(ty, names, json),
            Type::Option(option) => self.option(&option.ty(), json),
            Type::Result(result) => self.result(ty, result, json),
            Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
                Err(Misfit::new(format!("a {} cannot be written in a manifest", type_name(ty))))
            }
        }
    }

    /// Nothing, or a value. An option in an option has a wrapper, so that its nothing is not the outer one's.
    fn option(&self, inner: &Type, json: &Json) -> Result<Val, Misfit> {
        if json.is_null() {
            return Ok(Val::Option(None));
        }
        let wrapped = match (inner, json) {
            (Type::Option(_), Json::Object(object)) if object.len() == 1 => object.get("some"),
            (_, _) => None,
        };
        let value = match wrapped {
            Some(json) => self.read(inner, json).map_err(|misfit| misfit.below("some"))?,
            None => self.read(inner, json)?,
        };
        Ok(Val::Option(Some(Box::new(value))))
    }

    fn items(&self, item: &Type, items: &[Json]) -> Result<Vec<Val>, Misfit> {
        let read =
            |(index, json): (usize, &Json)| self.read(item, json).map_err(|misfit| misfit.below(&format!("[{index}]")));
        items.iter().enumerate().map(read).collect()
    }

    fn list(&self, ty: &Type, item: &Type, json: &Json) -> Result<Vec<Val>, Misfit> {
        let bytes = match (json, item) {
            (Json::Array(items), _) => return self.items(item, items),
            (Json::String(text), Type::U8) => {
                // Long text is folded in YAML.
                let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
                let not_base64 = |error| Misfit::new(format!("text for list<u8> is base64, and this is not: {error}"));
                base64::engine::general_purpose::STANDARD.decode(text).map_err(not_base64)?
            }
            (Json::Object(object), Type::U8) if object.len() == 1 => match object.get("file") {
                Some(path) => self.file(path).map_err(|misfit| misfit.below("file"))?,
                None => return Err(expected(ty, json)),
            },
            (_, _) => return Err(expected(ty, json)),
        };
        Ok(bytes.into_iter().map(Val::U8).collect())
    }

    fn file(&self, path: &Json) -> Result<Vec<u8>, Misfit> {
        let Some(folder) = self.folder else {
            return Err(Misfit::new("a file can be named in the manifest only, not in a payload"));
        };
        let written = path.as_str().ok_or_else(|| Misfit::new(format!("expected a path, found {}", shown(path))))?;
        let Some(written) = templates::literal(written) else {
            return Err(Misfit::new("the path of a file holds no template: it is the same for every run"));
        };
        let path = folder.join(written);
        let unreadable = |problem: &dyn std::fmt::Display| Misfit::new(format!("`{}`: {problem}", path.display()));
        let metadata = std::fs::metadata(&path).map_err(|error| unreadable(&error))?;
        if !metadata.is_file() {
            return Err(unreadable(&"it is no regular file"));
        }
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).map_err(|error| unreadable(&error))?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if FILE_BYTES_MAX < u64::try_from(bytes.len()).unwrap_or(u64::MAX) {
            return Err(unreadable(&"it is larger than 1 MiB: grant its folder under `grants.dirs` and pass its path"));
        }
        Ok(bytes)
    }

    fn entries(&self, ty: &Type, map: &types::Map, json: &Json) -> Result<Vec<(Val, Val)>, Misfit> {
        let Some(object) = json.as_object() else { return Err(expected(ty, json)) };
        let entry = |(key, json): (&String, &Json)| {
            let entry = map_key(&map.key(), key).and_then(|key| Ok((key, self.read(&map.value(), json)?)));
            entry.map_err(|misfit| misfit.below(key))
        };
        object.iter().map(entry).collect()
    }

    fn tuple(&self, ty: &Type, tuple: &types::Tuple, json: &Json) -> Result<Val, Misfit> {
        let Some(items) = json.as_array() else { return Err(expected(ty, json)) };
        let n_types = tuple.types().len();
        if items.len() != n_types {
            let message = format!("expected {n_types} items ({}), found {}", type_name(ty), items.len());
            return Err(Misfit::new(message));
        }
        let values = tuple
            .types()
            .zip(items)
            .enumerate()
            .map(|(index, (ty, json))| self.read(&ty, json).map_err(|misfit| misfit.below(&format!("[{index}]"))));
        values.collect::<Result<_, _>>().map(Val::Tuple)
    }

    fn record(&self, ty: &Type, record: &types::Record, json: &Json) -> Result<Val, Misfit> {
        let Some(object) = json.as_object() else { return Err(expected(ty, json)) };
        let names: Vec<_> = record.fields().map(|field| field.name).collect();
        if let Some(unknown) = object.keys().find(|key| !names.contains(&key.as_str())) {
            let misfit = Misfit { is_key: true, ..Misfit::new(unknown_name("field", unknown, &names)) };
            return Err(misfit.below(unknown));
        }
        let fields = record.fields().map(|field| {
            let value = match object.get(field.name) {
                Some(json) => self.read(&field.ty, json).map_err(|misfit| misfit.below(field.name))?,
                None => absent(&field.ty).ok_or_else(|| missing(field.name, &field.ty))?,
            };
            Ok((field.name.to_owned(), value))
        });
        fields.collect::<Result<_, _>>().map(Val::Record)
    }

    fn variant(&self, ty: &Type, variant: &types::Variant, json: &Json) -> Result<Val, Misfit> {
        let (name, payload) = match json {
            Json::String(name) => (name.as_str(), None),
            Json::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((name, payload)) => (name.as_str(), Some(payload)),
                None => return Err(expected(ty, json)),
            },
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                return Err(expected(ty, json));
            }
        };
        let names: Vec<_> = variant.cases().map(|case| case.name).collect();
        let Some(case) = variant.cases().find(|case| case.name == name) else {
            let misfit = Misfit::new(unknown_name("case", name, &names));
            return Err(if payload.is_some() { Misfit { is_key: true, ..misfit }.below(name) } else { misfit });
        };
        let payload = match (&case.ty, payload) {
            (None, None | Some(Json::Null)) => None,
            (None, Some(_)) => return Err(Misfit::new(format!("the case `{name}` carries no value"))),
            (Some(ty), Some(json)) => Some(Box::new(self.read(ty, json).map_err(|misfit| misfit.below(name))?)),
            (Some(ty), None) => match absent(ty) {
                Some(value) => Some(Box::new(value)),
                None => {
                    return Err(Misfit::new(format!(
                        "the case `{name}` carries a {}: write {{ {name}: … }}",
                        type_name(ty)
                    )));
                }
            },
        };
        Ok(Val::Variant(name.to_owned(), payload))
    }

    fn flags(&self, ty: &Type, flags: &types::Flags, json: &Json) -> Result<Val, Misfit> {
        let Some(items) = json.as_array() else { return Err(expected(ty, json)) };
        let mut words = Vec::new();
        for (index, json) in items.iter().enumerate() {
            let value = match json {
                // A text may be a template, whose word is known only when it is filled in.
                Json::String(_) => self.read(&Type::String, json),
                other => word(flags.names(), other).map(Val::String),
            };
            let known = value.and_then(|value| match value {
                Val::String(text) => word(flags.names(), &Json::String(text)).map(Some),
                _ => Ok(None),
            });
            words.extend(known.map_err(|misfit| misfit.below(&format!("[{index}]")))?);
        }
        Ok(Val::Flags(words))
    }

    fn result(&self, ty: &Type, result: &types::ResultType, json: &Json) -> Result<Val, Misfit> {
        let (name, json) = match json {
            Json::String(name) => (name.as_str(), &Json::Null),
            Json::Object(object) if object.len() == 1 => match object.iter().next() {
                Some((name, json)) => (name.as_str(), json),
                None => return Err(expected(ty, json)),
            },
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
                return Err(expected(ty, json));
            }
        };
        let payload = |ty: Option<Type>| match ty {
            Some(ty) => self.read(&ty, json).map(|value| Some(Box::new(value))).map_err(|misfit| misfit.below(name)),
            None if json.is_null() => Ok(None),
            None => Err(Misfit::new(format!("`{name}` carries no value"))),
        };
        match name {
            "ok" => payload(result.ok()).map(|value| Val::Result(Ok(value))),
            "err" => payload(result.err()).map(|value| Val::Result(Err(value))),
            other => Err(Misfit::new(unknown_name("case", other, &["ok", "err"]))),
        }
    }
}

/// Keys that are no text are written as their JSON.
fn map_key(ty: &Type, key: &str) -> Result<Val, Misfit> {
    let reader = Reader { texts: Texts::Plain, folder: None };
    let as_text = Json::String(key.to_owned());
    match ty {
        Type::String => Ok(Val::String(key.to_owned())),
        other => reader.read(other, &serde_json::from_str(key).unwrap_or(as_text)),
    }
}

/// The value of an argument or field that was left out, if its type allows that.
pub(crate) fn absent(ty: &Type) -> Option<Val> {
    matches!(ty, Type::Option(_)).then_some(Val::Option(None))
}

fn expected(ty: &Type, json: &Json) -> Misfit {
    Misfit::new(format!("expected {}, found {}", type_name(ty), shown(json)))
}

/// The value as it was written, cut to what fits in a message.
fn shown(json: &Json) -> String {
    const SHOWN_CHARS_MAX: usize = 40;
    let text = match json {
        Json::Null => "nothing".to_owned(),
        Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) | Json::Object(_) => json.to_string(),
    };
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

fn integer<T: TryFrom<i128>>(ty: &Type, json: &Json) -> Result<T, Misfit> {
    let whole = json.as_i64().map(i128::from).or_else(|| json.as_u64().map(i128::from));
    let Some(number) = whole else {
        // Whole numbers of more than 64 bits come as floats.
        let is_whole = json.as_f64().is_some_and(|x| x.fract() == 0.0 && 2_f64.powi(63) <= x.abs());
        return Err(if is_whole { out_of_range(ty, json) } else { expected(ty, json) });
    };
    T::try_from(number).map_err(|_out_of_range| out_of_range(ty, &number))
}

fn out_of_range(ty: &Type, number: &dyn std::fmt::Display) -> Misfit {
    let bounds = bounds(ty).map_or_else(String::new, |(low, high)| format!(", which holds {low} to {high}"));
    Misfit::new(format!("{number} is out of range for {}{bounds}", type_name(ty)))
}

fn bounds(ty: &Type) -> Option<(i128, i128)> {
    match ty {
        Type::S8 => Some((i8::MIN.into(), i8::MAX.into())),
        Type::U8 => Some((0, u8::MAX.into())),
        Type::S16 => Some((i16::MIN.into(), i16::MAX.into())),
        Type::U16 => Some((0, u16::MAX.into())),
        Type::S32 => Some((i32::MIN.into(), i32::MAX.into())),
        Type::U32 => Some((0, u32::MAX.into())),
        Type::S64 => Some((i64::MIN.into(), i64::MAX.into())),
        Type::U64 => Some((0, u64::MAX.into())),
        _ => None,
    }
}

fn float(ty: &Type, json: &Json) -> Result<f64, Misfit> {
    match json {
        Json::Number(number) => number.as_f64().ok_or_else(|| expected(ty, json)),
        Json::String(text) => match text.as_str() {
            ".nan" | "nan" => Ok(f64::NAN),
            ".inf" | "inf" => Ok(f64::INFINITY),
            "-.inf" | "-inf" => Ok(f64::NEG_INFINITY),
            _ => Err(expected(ty, json)),
        },
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => Err(expected(ty, json)),
    }
}

fn narrow(number: f64, json: &Json) -> Result<f32, Misfit> {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is what the type asks for")]
    let narrow = number as f32;
    if narrow.is_infinite() && number.is_finite() {
        return Err(Misfit::new(format!("{} is out of range for f32", shown(json))));
    }
    Ok(narrow)
}

fn character(ty: &Type, json: &Json) -> Result<Val, Misfit> {
    let mut characters = json.as_str().unwrap_or_default().chars();
    match (characters.next(), characters.next()) {
        (Some(character), None) => Ok(Val::Char(character)),
        (None | Some(_), _) => Err(expected(ty, json)),
    }
}

fn missing(name: &str, ty: &Type) -> Misfit {
    Misfit::new(format!("`{name}` is missing; it is a {}", type_name(ty)))
}

/// "unknown field `x`, did you mean …".
fn unknown_name(what: &str, name: &str, known: &[&str]) -> String {
    let hint = match did_you_mean(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none".to_owned(),
        None => format!("expected one of {}", known.join(", ")),
    };
    format!("unknown {what} `{name}`; {hint}")
}

fn word<'n>(names: impl Iterator<Item = &'n str>, json: &Json) -> Result<String, Misfit> {
    let names: Vec<_> = names.collect();
    match json.as_str() {
        Some(word) if names.contains(&word) => Ok(word.to_owned()),
        Some(word) => {
            let near = did_you_mean(word, names.iter().copied())
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(Misfit::new(format!("expected one of {}, found `{word}`{near}", names.join(", "))))
        }
        None => Err(Misfit::new(format!("expected one of {}, found {}", names.join(", "), shown(json)))),
    }
}
