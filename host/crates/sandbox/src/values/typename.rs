//! WIT types in WIT's own words, for messages and `inspect`.
//!
//! A component of some kilobytes can have types whose text would fill a memory: names are cut, and so is the whole.

use wasmtime::component::{Type, types::Case};

use crate::error::shown;

/// How deep a type is spelled out; deeper parts are `…`.
const DEPTH_MAX: usize = 8;

/// How long the text of a type may become, in bytes; what follows is `…`.
const TEXT_BYTES_MAX: usize = 2_000;

/// The type in WIT syntax: `option<list<u8>>`, `record { days: u32, dry-run: bool }`.
#[must_use]
pub fn type_name(ty: &Type) -> String {
    let mut text = Text::default();
    text.ty(ty, DEPTH_MAX);
    if text.is_full {
        text.written.push('…');
    }
    text.written
}

/// A text that takes no more when it is full.
#[derive(Default)]
struct Text {
    written: String,
    is_full: bool,
}

impl Text {
    fn push(&mut self, part: &str) {
        self.is_full |= TEXT_BYTES_MAX < self.written.len() + part.len();
        if !self.is_full {
            self.written.push_str(part);
        }
    }

    /// Parts with what stands between two of them, as many as there is room for.
    fn parts<T>(
        &mut self,
        open: &str,
        parts: impl Iterator<Item = T>,
        close: &str,
        mut part: impl FnMut(&mut Self, T),
    ) {
        self.push(open);
        for (index, one) in parts.enumerate() {
            if self.is_full {
                return;
            }
            if index != 0 {
                self.push(", ");
            }
            part(self, one);
        }
        self.push(close);
    }

    fn ty(&mut self, ty: &Type, depth: usize) {
        let Some(depth) = depth.checked_sub(1) else { return self.push("…") };
        let one = |text: &mut Self, ty: Type| text.ty(&ty, depth);
        match ty {
            Type::List(list) => self.parts("list<", [list.ty()].into_iter(), ">", one),
            Type::FixedLengthList(list) => {
                self.parts("list<", [list.ty()].into_iter(), &format!(", {}>", list.len()), one);
            }
            Type::Map(map) => self.parts("map<", [map.key(), map.value()].into_iter(), ">", one),
            Type::Option(option) => self.parts("option<", [option.ty()].into_iter(), ">", one),
            Type::Tuple(tuple) => self.parts("tuple<", tuple.types(), ">", one),
            Type::Record(record) => self.parts("record { ", record.fields(), " }", |text, field| {
                text.push(&format!("{}: ", shown(field.name)));
                text.ty(&field.ty, depth);
            }),
            Type::Variant(variant) => {
                self.parts("variant { ", variant.cases(), " }", |text, case| text.case(&case, depth));
            }
            Type::Enum(names) => self.parts("enum { ", names.names(), " }", |text, name| text.push(&shown(name))),
            Type::Flags(names) => self.parts("flags { ", names.names(), " }", |text, name| text.push(&shown(name))),
            Type::Result(result) => match (result.ok(), result.err()) {
                (None, None) => self.push("result"),
                (Some(ok), None) => self.parts("result<", [ok].into_iter(), ">", one),
                (ok, err) => self.parts("result<", [ok, err].into_iter(), ">", |text, ty| match ty {
                    Some(ty) => text.ty(&ty, depth),
                    None => text.push("_"),
                }),
            },
            plain => self.push(word(plain)),
        }
    }

    fn case(&mut self, case: &Case<'_>, depth: usize) {
        self.push(&shown(case.name));
        if let Some(ty) = &case.ty {
            self.push("(");
            self.ty(ty, depth);
            self.push(")");
        }
    }
}

/// A type that is one word.
fn word(ty: &Type) -> &'static str {
    match ty {
        Type::Bool => "bool",
        Type::S8 => "s8",
        Type::U8 => "u8",
        Type::S16 => "s16",
        Type::U16 => "u16",
        Type::S32 => "s32",
        Type::U32 => "u32",
        Type::S64 => "s64",
        Type::U64 => "u64",
        Type::Float32 => "f32",
        Type::Float64 => "f64",
        Type::Char => "char",
        Type::String => "string",
        Type::Own(_) => "own<resource>",
        Type::Borrow(_) => "borrow<resource>",
        Type::Future(_) => "future",
        Type::Stream(_) => "stream",
        Type::ErrorContext => "error-context",
        Type::List(_)
        | Type::FixedLengthList(_)
        | Type::Map(_)
        | Type::Option(_)
        | Type::Tuple(_)
        | Type::Record(_)
        | Type::Variant(_)
        | Type::Enum(_)
        | Type::Flags(_)
        | Type::Result(_) => "…",
    }
}

/// The first part of a type that cannot come from a manifest: the path to it, and what it is.
pub(crate) fn unsupported_part(ty: &Type, path: &str) -> Option<(String, &'static str)> {
    let (mut steps, what) = find(ty)?;
    steps.reverse();
    Some((format!("{path}{}", steps.concat()), what))
}

/// The steps to it, the last one first: they are spelled out on the way back, for the one part that was found.
fn find(ty: &Type) -> Option<(Vec<String>, &'static str)> {
    let inner = |ty: Type, step: &dyn Fn() -> String| {
        find(&ty).map(|(mut steps, what)| {
            steps.push(step());
            (steps, what)
        })
    };
    match ty {
        Type::Own(_) | Type::Borrow(_) => Some((Vec::new(), "a resource")),
        Type::Future(_) => Some((Vec::new(), "a future")),
        Type::Stream(_) => Some((Vec::new(), "a stream")),
        Type::ErrorContext => Some((Vec::new(), "an error-context")),
        Type::List(list) => inner(list.ty(), &|| "[]".to_owned()),
        Type::FixedLengthList(list) => inner(list.ty(), &|| "[]".to_owned()),
        Type::Map(map) => [map.key(), map.value()].into_iter().find_map(|ty| inner(ty, &|| "{}".to_owned())),
        Type::Option(option) => inner(option.ty(), &String::new),
        Type::Tuple(tuple) => tuple.types().enumerate().find_map(|(index, ty)| inner(ty, &|| format!("[{index}]"))),
        Type::Record(record) => {
            record.fields().find_map(|field| inner(field.ty, &|| format!(".{}", shown(field.name))))
        }
        Type::Variant(variant) => {
            variant.cases().find_map(|case| inner(case.ty?, &|| format!(".{}", shown(case.name))))
        }
        Type::Result(result) => {
            let ok = result.ok().and_then(|ty| inner(ty, &|| ".ok".to_owned()));
            ok.or_else(|| inner(result.err()?, &|| ".err".to_owned()))
        }
        _ => None,
    }
}
