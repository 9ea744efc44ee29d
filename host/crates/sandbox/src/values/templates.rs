//! Templates in arguments: whether they fit is seen when the manifest is loaded; what they hold, when the job fires.

use clockjack_schedule::{
    manifest::parse::parse,
    ports::Attempt,
    template::{Filled, Kind, Reference, Template, rfc3339},
};
use serde_json::Value as Json;
use wasmtime::component::{Type, Val};

use super::{
    from_json::{Misfit, Reader},
    typename::type_name,
};

/// How texts are read.
#[derive(Clone, Copy)]
pub(crate) enum Texts<'a> {
    /// As they are: what a value holds is never looked at again.
    Plain,
    /// Whether the templates in them fit; what they will hold is not known yet.
    Checked,
    /// With the templates in them filled in.
    Filled(&'a Attempt),
}

/// Stands for a value that is not known yet, in a call that will not be made with it.
const LATER: Val = Val::Bool(false);

/// Whether any text in a value is a template.
pub(crate) fn has_template(json: &Json) -> bool {
    match json {
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
        Json::String(text) => literal(text).is_none(),
        Json::Array(items) => items.iter().any(has_template),
        Json::Object(entries) => entries.values().any(has_template),
    }
}

/// What a text means that holds no template.
pub(crate) fn literal(text: &str) -> Option<String> {
    if !text.contains("${") {
        return Some(text.to_owned());
    }
    Template::parse(text).ok()?.literal().map(str::to_owned)
}

/// The text of a template for a command line.
pub(crate) fn word(text: &str, attempt: &Attempt) -> Result<String, String> {
    Template::parse(text).map_err(|fault| fault.message)?.text(attempt)
}

/// Reads a text that may be a template; absent where it is none.
pub(crate) fn read(reader: &Reader<'_>, ty: &Type, text: &str) -> Option<Result<Val, Misfit>> {
    if matches!(reader.texts, Texts::Plain) || !text.contains("${") {
        return None;
    }
    Some(read_template(reader, ty, text))
}

fn read_template(reader: &Reader<'_>, ty: &Type, text: &str) -> Result<Val, Misfit> {
    let template = Template::parse(text).map_err(|fault| Misfit::new(format!("{}; {}", fault.message, fault.fix)))?;
    if let Some(text) = template.literal() {
        let plain = Reader { texts: Texts::Plain, ..*reader };
        return plain.read(ty, &Json::String(text.to_owned()));
    }
    match (reader.texts, template.whole()) {
        (Texts::Plain | Texts::Checked, Some(reference)) => check(reference, ty).map(|()| LATER),
        (Texts::Plain | Texts::Checked, None) => check_text(ty).map(|()| LATER),
        (Texts::Filled(attempt), Some(reference)) => {
            let json = value(reference, ty, attempt).map_err(Misfit::new)?;
            let told =
                |misfit: Misfit| Misfit { message: format!("{}: {}", reference.written(), misfit.message), ..misfit };
            FOREIGN.read(ty, &json).map_err(told)
        }
        (Texts::Filled(attempt), None) => FOREIGN.read(ty, &Json::String(template.text(attempt).map_err(Misfit::new)?)),
    }
}

/// Reads what does not stand in the manifest.
const FOREIGN: Reader<'static> = Reader { texts: Texts::Plain, folder: None };

/// The type under all options.
fn core_of(ty: &Type) -> Type {
    match ty {
        Type::Option(option) => core_of(&option.ty()),
        other => other.clone(),
    }
}

fn is_integer(ty: &Type) -> bool {
    matches!(ty, Type::S8 | Type::U8 | Type::S16 | Type::U16 | Type::S32 | Type::U32 | Type::S64 | Type::U64)
}

fn is_float(ty: &Type) -> bool {
    matches!(ty, Type::Float32 | Type::Float64)
}

/// Whether a value of this kind can be one of this type.
fn check(reference: &Reference, ty: &Type) -> Result<(), Misfit> {
    let core = core_of(ty);
    let is_text = matches!(core, Type::String);
    let (fits, what) = match reference.kind() {
        Kind::Anything => (true, ""),
        Kind::Text => (is_text, "text"),
        Kind::Number => (is_text || is_integer(&core) || is_float(&core), "a whole number"),
        Kind::Instant | Kind::MaybeInstant => {
            let holds_millis = matches!(core, Type::U64 | Type::S64 | Type::Float64);
            (is_text || holds_millis, "an instant: text, or milliseconds since 1970 in a u64, s64 or f64")
        }
    };
    if !fits {
        return Err(Misfit::new(format!("`{}` is {what}; expected {}", reference.written(), type_name(ty))));
    }
    if let Some(default) = reference.default() {
        FOREIGN.read(ty, &default_value(default, &core)).map(drop)?;
    }
    let may_be_nothing = reference.kind() == Kind::MaybeInstant && reference.default().is_none();
    if may_be_nothing && !matches!(ty, Type::Option(_)) {
        let message = format!(
            "`{}` is nothing before the first success, and a {} cannot be: write `${{run.last_success:-…}}` with what \
             stands for it, or make the parameter an option",
            reference.written(),
            type_name(ty)
        );
        return Err(Misfit::new(message));
    }
    Ok(())
}

/// Whether text can be of this type.
fn check_text(ty: &Type) -> Result<(), Misfit> {
    let takes_text = matches!(core_of(ty), Type::String | Type::Char | Type::Enum(_) | Type::Variant(_));
    if takes_text {
        return Ok(());
    }
    let message = format!("values in a text make a text; expected {}: write the template alone", type_name(ty));
    Err(Misfit::new(message))
}

/// The value of a template that stands alone.
fn value(reference: &Reference, ty: &Type, attempt: &Attempt) -> Result<Json, String> {
    let core = core_of(ty);
    let is_text = matches!(core, Type::String);
    Ok(match reference.value(attempt)? {
        Filled::Json(Json::Number(number)) if is_text && reference.kind() == Kind::Number => number.to_string().into(),
        Filled::Json(json) => json,
        Filled::Instant(at) if is_integer(&core) || is_float(&core) => at.timestamp_millis().into(),
        Filled::Instant(at) => rfc3339(at).into(),
        Filled::Default(text) => default_value(&text, &core),
    })
}

/// A default as the parameter wants it: text, or what YAML reads in it.
fn default_value(text: &str, core: &Type) -> Json {
    if matches!(core, Type::String | Type::Char | Type::Enum(_) | Type::Variant(_)) {
        return Json::String(text.to_owned());
    }
    let (node, diagnostics) = parse(0, text);
    let node = node.filter(|_| !diagnostics.has_errors());
    node.map_or_else(|| Json::String(text.to_owned()), |node| node.to_json())
}
