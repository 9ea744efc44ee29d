//! JSON to component values, guided by the WIT type.
//!
//! Records and arguments are maps, variants `"case"` or `{case: value}`, enums a word, flags a list of words, options
//! `null` or the value, results `{ok: …}` or `{err: …}`, tuples and lists arrays; `list<u8>` also takes base64 text.

use base64::Engine as _;
use clockjack_schedule::diagnostic::did_you_mean;
use serde_json::Value as Json;
use wasmtime::component::{Type, Val, types};

use super::typename::type_name;

/// What does not fit, and where below the value that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Such as `filters[2].op`; empty for the value itself.
    pub(crate) path: String,
    /// What is wrong.
    pub(crate) message: String,
}

impl Misfit {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    fn below(mut self, step: &str) -> Self {
        let joint = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{step}{joint}{}", self.path);
        self
    }
}

/// Converts one value.
pub(crate) fn from_json(ty: &Type, json: &Json) -> Result<Val, Misfit> {
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
        Type::List(list) => self::list(ty, &list.ty(), json).map(Val::List),
        Type::FixedLengthList(list) => {
            let values = self::list(ty, &list.ty(), json)?;
            if u32::try_from(values.len()) != Ok(list.len()) {
                return Err(Misfit::new(format!("expected {} items, found {}", list.len(), values.len())));
            }
            Ok(Val::FixedLengthList(values))
        }
        Type::Map(map) => entries(ty, map, json).map(Val::Map),
        Type::Tuple(tuple) => self::tuple(ty, tuple, json),
        Type::Record(record) => self::record(ty, record, json),
        Type::Variant(variant) => self::variant(ty, variant, json),
        Type::Enum(names) => word(names.names(), json).map(Val::Enum),
        Type::Flags(names) => flags(ty, names, json),
        Type::Option(option) => match json {
            Json::Null => Ok(Val::Option(None)),
            json => from_json(&option.ty(), json).map(|value| Val::Option(Some(Box::new(value)))),
        },
        Type::Result(result) => self::result(ty, result, json),
        Type::Own(_) | Type::Borrow(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
            Err(Misfit::new(format!("a {} cannot be written in a manifest", type_name(ty))))
        }
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
    let Some(number) = whole else { return Err(expected(ty, json)) };
    T::try_from(number).map_err(|_out_of_range| {
        let bounds = bounds(ty).map_or_else(String::new, |(low, high)| format!(", which holds {low} to {high}"));
        Misfit::new(format!("{number} is out of range for {}{bounds}", type_name(ty)))
    })
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

fn list(ty: &Type, item: &Type, json: &Json) -> Result<Vec<Val>, Misfit> {
    match (json, item) {
        (Json::Array(items), _) => items
            .iter()
            .enumerate()
            .map(|(index, json)| from_json(item, json).map_err(|misfit| misfit.below(&format!("[{index}]"))))
            .collect(),
        (Json::String(text), Type::U8) => {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            let not_base64 = |error| Misfit::new(format!("text for list<u8> is base64, and this is not: {error}"));
            Ok(bytes.map_err(not_base64)?.into_iter().map(Val::U8).collect())
        }
        _ => Err(expected(ty, json)),
    }
}

fn entries(ty: &Type, map: &types::Map, json: &Json) -> Result<Vec<(Val, Val)>, Misfit> {
    let Some(object) = json.as_object() else { return Err(expected(ty, json)) };
    let key_of = |key: &str| match map.key() {
        Type::String => Ok(Val::String(key.to_owned())),
        other => {
            let json = serde_json::from_str(key).unwrap_or_else(|_not_json| Json::String(key.to_owned()));
            from_json(&other, &json)
        }
    };
    object
        .iter()
        .map(|(key, json)| Ok((key_of(key)?, from_json(&map.value(), json)?)))
        .zip(object.keys())
        .map(|(entry, key)| entry.map_err(|misfit: Misfit| misfit.below(key)))
        .collect()
}

fn tuple(ty: &Type, tuple: &types::Tuple, json: &Json) -> Result<Val, Misfit> {
    let items = json.as_array().filter(|items| items.len() == tuple.types().len()).ok_or_else(|| expected(ty, json))?;
    let values = tuple
        .types()
        .zip(items)
        .enumerate()
        .map(|(index, (ty, json))| from_json(&ty, json).map_err(|misfit| misfit.below(&format!("[{index}]"))));
    values.collect::<Result<_, _>>().map(Val::Tuple)
}

fn record(ty: &Type, record: &types::Record, json: &Json) -> Result<Val, Misfit> {
    let Some(object) = json.as_object() else { return Err(expected(ty, json)) };
    let names: Vec<_> = record.fields().map(|field| field.name).collect();
    if let Some(unknown) = object.keys().find(|key| !names.contains(&key.as_str())) {
        return Err(Misfit::new(unknown_name("field", unknown, &names)));
    }
    let fields = record.fields().map(|field| {
        let value = match object.get(field.name) {
            Some(json) => from_json(&field.ty, json).map_err(|misfit| misfit.below(field.name))?,
            None => absent(&field.ty).ok_or_else(|| missing(field.name, &field.ty))?,
        };
        Ok((field.name.to_owned(), value))
    });
    fields.collect::<Result<_, _>>().map(Val::Record)
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

fn variant(ty: &Type, variant: &types::Variant, json: &Json) -> Result<Val, Misfit> {
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
        return Err(Misfit::new(unknown_name("case", name, &names)));
    };
    let payload = match (&case.ty, payload) {
        (None, None | Some(Json::Null)) => None,
        (None, Some(_)) => return Err(Misfit::new(format!("the case `{name}` carries no value"))),
        (Some(ty), Some(json)) => Some(Box::new(from_json(ty, json).map_err(|misfit| misfit.below(name))?)),
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

fn flags(ty: &Type, flags: &types::Flags, json: &Json) -> Result<Val, Misfit> {
    let Some(items) = json.as_array() else { return Err(expected(ty, json)) };
    let words = items
        .iter()
        .enumerate()
        .map(|(index, json)| word(flags.names(), json).map_err(|misfit| misfit.below(&format!("[{index}]"))));
    words.collect::<Result<_, _>>().map(Val::Flags)
}

fn result(ty: &Type, result: &types::ResultType, json: &Json) -> Result<Val, Misfit> {
    let entry = json.as_object().filter(|object| object.len() == 1).and_then(|object| object.iter().next());
    let Some((name, json)) = entry else { return Err(expected(ty, json)) };
    let payload = |ty: Option<Type>| match ty {
        Some(ty) => from_json(&ty, json).map(|value| Some(Box::new(value))).map_err(|misfit| misfit.below(name)),
        None if json.is_null() => Ok(None),
        None => Err(Misfit::new(format!("`{name}` carries no value"))),
    };
    match name.as_str() {
        "ok" => payload(result.ok()).map(|value| Val::Result(Ok(value))),
        "err" => payload(result.err()).map(|value| Val::Result(Err(value))),
        other => Err(Misfit::new(unknown_name("case", other, &["ok", "err"]))),
    }
}
