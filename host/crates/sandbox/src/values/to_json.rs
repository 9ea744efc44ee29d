//! Component values to JSON.
//!
//! The reverse of `from_json`, with the same shapes. `list<u8>` becomes base64 text, which is smaller than an array of
//! numbers; a float that JSON cannot hold becomes the text that `from_json` reads back.

use base64::Engine as _;
use serde_json::{Map, Value as Json};
use wasmtime::component::Val;

/// Converts one value.
#[must_use]
pub fn to_json(value: &Val) -> Json {
    match value {
        Val::Bool(value) => Json::Bool(*value),
        Val::S8(value) => Json::from(*value),
        Val::U8(value) => Json::from(*value),
        Val::S16(value) => Json::from(*value),
        Val::U16(value) => Json::from(*value),
        Val::S32(value) => Json::from(*value),
        Val::U32(value) => Json::from(*value),
        Val::S64(value) => Json::from(*value),
        Val::U64(value) => Json::from(*value),
        Val::Float32(value) => float32(*value),
        Val::Float64(value) => float(*value),
        Val::Char(value) => Json::String(value.to_string()),
        Val::String(value) => Json::String(value.clone()),
        Val::List(values) | Val::FixedLengthList(values) => {
            bytes(values).unwrap_or_else(|| values.iter().map(to_json).collect())
        }
        Val::Tuple(values) => values.iter().map(to_json).collect(),
        Val::Map(entries) => Json::Object(entries.iter().map(|(key, value)| (map_key(key), to_json(value))).collect()),
        Val::Record(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.clone(), to_json(value))).collect())
        }
        Val::Variant(name, None) | Val::Enum(name) => Json::String(name.clone()),
        Val::Variant(name, Some(payload)) => single(name, to_json(payload)),
        Val::Option(None) => Json::Null,
        // Its nothing must not look like that of the outer one.
        Val::Option(Some(value)) if matches!(**value, Val::Option(_)) => single("some", to_json(value)),
        Val::Option(Some(value)) => to_json(value),
        Val::Result(Ok(value)) => single("ok", value.as_deref().map_or(Json::Null, to_json)),
        Val::Result(Err(value)) => single("err", value.as_deref().map_or(Json::Null, to_json)),
        Val::Flags(names) => names.iter().map(|name| Json::String(name.clone())).collect(),
        Val::Resource(_) => Json::String("<resource>".to_owned()),
        Val::Future(_) => Json::String("<future>".to_owned()),
        Val::Stream(_) => Json::String("<stream>".to_owned()),
        Val::ErrorContext(_) => Json::String("<error-context>".to_owned()),
    }
}

fn single(name: &str, value: Json) -> Json {
    Json::Object(Map::from_iter([(name.to_owned(), value)]))
}

/// Keys of a JSON object are text; other keys are written as their JSON.
fn map_key(key: &Val) -> String {
    match to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn bytes(values: &[Val]) -> Option<Json> {
    let byte = |value: &Val| match value {
        Val::U8(byte) => Some(*byte),
        _ => None,
    };
    // An empty list does not tell its type; an empty array is right for every one.
    values.first().and_then(byte)?;
    let bytes: Option<Vec<u8>> = values.iter().map(byte).collect();
    bytes.map(|bytes| Json::String(base64::engine::general_purpose::STANDARD.encode(bytes)))
}

/// The shortest decimal form of an `f32`, not the long form of the `f64` next to it.
fn float32(value: f32) -> Json {
    value.to_string().parse().map_or_else(|_not_a_number| float(value.into()), float)
}

fn float(value: f64) -> Json {
    let text = || {
        if value.is_nan() {
            ".nan"
        } else if value.is_sign_negative() {
            "-.inf"
        } else {
            ".inf"
        }
    };
    serde_json::Number::from_f64(value).map_or_else(|| Json::String(text().to_owned()), Json::Number)
}
