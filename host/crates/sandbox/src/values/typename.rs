//! WIT types in WIT's own words, for messages and `inspect`.

use wasmtime::component::Type;

/// How deep a type is spelled out; deeper parts are `…`.
const DEPTH_MAX: usize = 8;

/// The type in WIT syntax: `option<list<u8>>`, `record { days: u32, dry-run: bool }`.
#[must_use]
pub fn type_name(ty: &Type) -> String {
    name(ty, DEPTH_MAX)
}

fn name(ty: &Type, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return "…".to_owned() };
    let payload = |ty: Option<Type>| ty.map_or_else(|| "_".to_owned(), |ty| name(&ty, depth));
    match ty {
        Type::Bool => "bool".to_owned(),
        Type::S8 => "s8".to_owned(),
        Type::U8 => "u8".to_owned(),
        Type::S16 => "s16".to_owned(),
        Type::U16 => "u16".to_owned(),
        Type::S32 => "s32".to_owned(),
        Type::U32 => "u32".to_owned(),
        Type::S64 => "s64".to_owned(),
        Type::U64 => "u64".to_owned(),
        Type::Float32 => "f32".to_owned(),
        Type::Float64 => "f64".to_owned(),
        Type::Char => "char".to_owned(),
        Type::String => "string".to_owned(),
        Type::List(list) => format!("list<{}>", name(&list.ty(), depth)),
        Type::FixedLengthList(list) => format!("list<{}, {}>", name(&list.ty(), depth), list.len()),
        Type::Map(map) => format!("map<{}, {}>", name(&map.key(), depth), name(&map.value(), depth)),
        Type::Option(option) => format!("option<{}>", name(&option.ty(), depth)),
        Type::Tuple(tuple) => {
            let types: Vec<_> = tuple.types().map(|ty| name(&ty, depth)).collect();
            format!("tuple<{}>", types.join(", "))
        }
        Type::Record(record) => {
            let fields: Vec<_> =
                record.fields().map(|field| format!("{}: {}", field.name, name(&field.ty, depth))).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        Type::Variant(variant) => {
            let case = |case: wasmtime::component::types::Case<'_>| match case.ty {
                Some(ty) => format!("{}({})", case.name, name(&ty, depth)),
                None => case.name.to_owned(),
            };
            format!("variant {{ {} }}", variant.cases().map(case).collect::<Vec<_>>().join(", "))
        }
        Type::Enum(names) => format!("enum {{ {} }}", names.names().collect::<Vec<_>>().join(", ")),
        Type::Flags(names) => format!("flags {{ {} }}", names.names().collect::<Vec<_>>().join(", ")),
        Type::Result(result) => match (result.ok(), result.err()) {
            (None, None) => "result".to_owned(),
            (ok, None) => format!("result<{}>", payload(ok)),
            (ok, err) => format!("result<{}, {}>", payload(ok), payload(err)),
        },
        Type::Own(_) => "own<resource>".to_owned(),
        Type::Borrow(_) => "borrow<resource>".to_owned(),
        Type::Future(_) => "future".to_owned(),
        Type::Stream(_) => "stream".to_owned(),
        Type::ErrorContext => "error-context".to_owned(),
    }
}

/// The first part of a type that cannot come from a manifest: the path to it, and what it is.
pub(crate) fn unsupported_part(ty: &Type, path: &str) -> Option<(String, &'static str)> {
    let mut parts: Vec<(String, Type)> = Vec::new();
    match ty {
        Type::Own(_) | Type::Borrow(_) => return Some((path.to_owned(), "a resource")),
        Type::Future(_) => return Some((path.to_owned(), "a future")),
        Type::Stream(_) => return Some((path.to_owned(), "a stream")),
        Type::ErrorContext => return Some((path.to_owned(), "an error-context")),
        Type::List(list) => parts.push((format!("{path}[]"), list.ty())),
        Type::FixedLengthList(list) => parts.push((format!("{path}[]"), list.ty())),
        Type::Map(map) => parts.extend([(format!("{path}{{}}"), map.key()), (format!("{path}{{}}"), map.value())]),
        Type::Option(option) => parts.push((path.to_owned(), option.ty())),
        Type::Tuple(tuple) => {
            parts.extend(tuple.types().enumerate().map(|(index, ty)| (format!("{path}[{index}]"), ty)))
        }
        Type::Record(record) => parts.extend(record.fields().map(|field| (format!("{path}.{}", field.name), field.ty))),
        Type::Variant(variant) => {
            parts.extend(variant.cases().filter_map(|case| Some((format!("{path}.{}", case.name), case.ty?))));
        }
        Type::Result(result) => {
            parts.extend(result.ok().map(|ty| (format!("{path}.ok"), ty)));
            parts.extend(result.err().map(|ty| (format!("{path}.err"), ty)));
        }
        Type::Bool
        | Type::S8
        | Type::U8
        | Type::S16
        | Type::U16
        | Type::S32
        | Type::U32
        | Type::S64
        | Type::U64
        | Type::Float32
        | Type::Float64
        | Type::Char
        | Type::String
        | Type::Enum(_)
        | Type::Flags(_) => {}
    }
    parts.into_iter().find_map(|(path, ty)| unsupported_part(&ty, &path))
}
