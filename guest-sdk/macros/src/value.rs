//! `#[derive(Value)]`: records, variants, enums and flags.

use std::fmt::Write as _;

use proc_macro::{Delimiter, Ident, Span, TokenStream, TokenTree};

use crate::{
    names, template,
    tokens::{Cursor, Error, check_owned, lines, sequence, sequence_of_names, split_commas},
};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream, Error> {
    let mut cursor = Cursor::new(item);
    let attributes = cursor.take_attributes();
    let is_flags = attributes.wit.into_iter().any(|arguments| Cursor::new(arguments).take_word("flags"));
    cursor.skip_visibility();
    let is_struct = cursor.take_word("struct");
    let is_enum = !is_struct && cursor.take_word("enum");
    let Some(ident) = cursor.take_ident().filter(|_| is_struct || is_enum) else {
        return Err(Error::new(Span::call_site(), "`Value` is for structs and enums"));
    };
    if cursor.peek_is_punct('<') {
        return Err(Error::new(ident.span(), "a type of WIT cannot be generic; write one type per use"));
    }
    let Some(body) = cursor.take_group(Delimiter::Brace) else {
        return Err(Error::new(
            ident.span(),
            "a record needs named fields; for a single value take its type directly or an `enum`",
        ));
    };
    let parts = split_commas(body.stream());
    if parts.is_empty() {
        return Err(Error::new(ident.span(), "WIT has no empty records and no empty enums"));
    }
    if is_flags && is_struct {
        return flags(&ident, &attributes.docs, parts);
    }
    if is_struct { record(&ident, &attributes.docs, parts) } else { cases(&ident, &attributes.docs, parts) }
}

/// The docs of a type and of what is in it, as an expression with holes.
fn docs<'a>(
    own: &[TokenStream],
    items: impl Iterator<Item = &'a [TokenStream]>,
    holes: &mut Vec<TokenStream>,
) -> String {
    let own = lines(own, holes);
    let items: String = items.map(|docs| lines(docs, holes) + ", ").collect();
    format!("__rt::Docs {{ own: {own}, items: &[{items}] }}")
}

/// Name in Rust, type and doc comment of a field.
struct Field {
    ident: Ident,
    ty: TokenStream,
    docs: Vec<TokenStream>,
}

fn fields(container: &Ident, parts: Vec<TokenStream>) -> Result<Vec<Field>, Error> {
    parts
        .into_iter()
        .map(|part| {
            let mut cursor = Cursor::new(part);
            let docs = cursor.take_attributes().docs;
            cursor.skip_visibility();
            let Some(ident) = cursor.take_ident() else {
                return Err(Error::new(Span::call_site(), "expected the name of a field"));
            };
            cursor.next();
            let ty = cursor.rest();
            check_owned(&ty, "a field of a record")?;
            check_finite(&ty, container)?;
            Ok(Field { ident, ty, docs })
        })
        .collect()
}

/// Refuses a type that contains itself, whose message from the compiler would be about its own constants.
fn check_finite(ty: &TokenStream, container: &Ident) -> Result<(), Error> {
    for token in ty.clone() {
        match token {
            TokenTree::Ident(ident)
                if [container.to_string().as_str(), "Self"].contains(&ident.to_string().as_str()) =>
            {
                return Err(Error::new(
                    ident.span(),
                    format!(
                        "a type of WIT cannot contain itself: flatten `{container}` into a list whose items name \
                         each other by index or id"
                    ),
                ));
            }
            TokenTree::Group(group) => check_finite(&group.stream(), container)?,
            _ => {}
        }
    }
    Ok(())
}

fn record(ident: &Ident, own_docs: &[TokenStream], parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let fields = fields(ident, parts)?;
    let names = fields.iter().map(|field| names::kebab(&field.ident)).collect::<Result<Vec<_>, _>>()?;
    names::check_distinct(fields.iter().map(|field| &field.ident).zip(&names))?;
    let name = names::kebab(ident)?;
    let mut holes = vec![TokenTree::Ident(ident.clone()).into()];
    let types: Vec<TokenStream> = fields.iter().map(|field| field.ty.clone()).collect();
    let sequence = sequence(&types, &mut holes);
    let docs = docs(own_docs, fields.iter().map(|field| field.docs.as_slice()), &mut holes);
    let mut described = String::new();
    let mut lifted = String::new();
    for (i, (field, wit)) in fields.iter().zip(&names).enumerate() {
        let _ = write!(described, "({wit:?}, &<__{} as __rt::Value>::TYPE), ", i + 1);
        let _ = write!(lifted, "{}: __rt::Value::lift(slots), ", field.ident);
    }
    let locals: Vec<String> = (0..fields.len()).map(|i| format!("field{i}")).collect();
    let bindings: String =
        fields.iter().zip(&locals).map(|(field, local)| format!("{}: {local}, ", field.ident)).collect();
    let nested = sequence_of_names(&locals);
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            type __Fields = {sequence};
            impl __rt::Value for __0 {{
                type Flat = <__Fields as __rt::Sequence>::Flat;
                const TYPE: __rt::Type = __rt::Type::Record({name:?}, &[{described}], {docs});
                const LAYOUT: __rt::Layout = <__Fields as __rt::Sequence>::LAYOUTS.record();
                fn lift(slots: &mut __rt::Slots) -> Self {{
                    Self {{ {lifted} }}
                }}
                fn load(at: __rt::At) -> Self {{
                    let {nested} = <__Fields as __rt::Sequence>::load(at, 0);
                    Self {{ {bindings} }}
                }}
                fn store(self, at: __rt::At) {{
                    let Self {{ {bindings} }} = self;
                    __rt::Sequence::store({nested}, at, 0);
                }}
            }}
        }};"
    );
    Ok(template::fill(&code, &holes))
}

fn flags(ident: &Ident, own_docs: &[TokenStream], parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let fields = fields(ident, parts)?;
    let names = fields.iter().map(|field| names::kebab(&field.ident)).collect::<Result<Vec<_>, _>>()?;
    names::check_distinct(fields.iter().map(|field| &field.ident).zip(&names))?;
    if 32 < fields.len() {
        return Err(Error::new(ident.span(), "WIT has at most 32 flags in one type"));
    }
    let name = names::kebab(ident)?;
    let (width, bits) = match fields.len() {
        0..=8 => (1, "u8"),
        9..=16 => (2, "u16"),
        _ => (4, "u32"),
    };
    let mut holes: Vec<TokenStream> = vec![TokenTree::Ident(ident.clone()).into()];
    let (mut described, mut from_bits, mut to_bits) = (String::new(), String::new(), String::from("0"));
    for (i, (Field { ident: field, ty, .. }, wit)) in fields.iter().zip(&names).enumerate() {
        let _ = write!(described, "{wit:?}, ");
        // Converting through the written type makes a flag that is no `bool` an error at that type.
        let _ =
            write!(from_bits, "{field}: <__{} as ::core::convert::From<bool>>::from(bits & (1 << {i}) != 0), ", i + 1);
        let _ = write!(to_bits, " | (u32::from(self.{field}) << {i})");
        holes.push(ty.clone());
    }
    let docs = docs(own_docs, fields.iter().map(|field| field.docs.as_slice()), &mut holes);
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            impl __0 {{
                fn __from_bits(bits: u32) -> Self {{
                    Self {{ {from_bits} }}
                }}
            }}
            impl __rt::Value for __0 {{
                type Flat = (i32, ());
                const TYPE: __rt::Type = __rt::Type::Flags({name:?}, &[{described}], {docs});
                const LAYOUT: __rt::Layout = __rt::Layout::scalar({width});
                fn lift(slots: &mut __rt::Slots) -> Self {{
                    Self::__from_bits(slots.take() as u32)
                }}
                fn load(at: __rt::At) -> Self {{
                    Self::__from_bits(u32::from(<{bits} as __rt::Value>::load(at)))
                }}
                fn store(self, at: __rt::At) {{
                    let bits: u32 = {to_bits};
                    __rt::Value::store(bits as {bits}, at);
                }}
            }}
        }};"
    );
    Ok(template::fill(&code, &holes))
}

/// One case of an enum: its name and the types it carries.
struct Case {
    ident: Ident,
    name: String,
    types: Vec<TokenStream>,
    docs: Vec<TokenStream>,
}

fn read_case(container: &Ident, part: TokenStream) -> Result<Case, Error> {
    let mut cursor = Cursor::new(part);
    let docs = cursor.take_attributes().docs;
    let Some(ident) = cursor.take_ident() else {
        return Err(Error::new(Span::call_site(), "expected the name of a case"));
    };
    let mut types = Vec::new();
    if let Some(group) = cursor.take_group(Delimiter::Parenthesis) {
        for part in split_commas(group.stream()) {
            let mut payload = Cursor::new(part);
            payload.take_attributes();
            payload.skip_visibility();
            let ty = payload.rest();
            check_owned(&ty, "the payload of a case")?;
            check_finite(&ty, container)?;
            types.push(ty);
        }
    } else if cursor.take_group(Delimiter::Brace).is_some() {
        return Err(Error::new(
            ident.span(),
            "a case of a WIT variant has no named fields: put them into a struct and write `Case(Struct)`",
        ));
    } else if cursor.peek_is_punct('=') {
        return Err(Error::new(ident.span(), "cases of a WIT enum are numbered in order; leave out the number"));
    }
    Ok(Case { name: names::kebab(&ident)?, ident, types, docs })
}

fn cases(ident: &Ident, own_docs: &[TokenStream], parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let cases = parts.into_iter().map(|part| read_case(ident, part)).collect::<Result<Vec<_>, _>>()?;
    names::check_distinct(cases.iter().map(|case| (&case.ident, &case.name)))?;
    let n_cases = cases.len();
    if 256 < n_cases {
        return Err(Error::new(ident.span(), "at most 256 cases are supported"));
    }
    let type_name = names::kebab(ident)?;
    let mut holes: Vec<TokenStream> = vec![TokenTree::Ident(ident.clone()).into()];
    let (mut lift, mut load, mut store) = (String::new(), String::new(), String::new());
    let (mut described, mut layouts, mut joined) = (String::new(), String::new(), String::from("()"));
    for (number, case) in cases.iter().enumerate() {
        let hole = holes.len();
        holes.push(TokenTree::Ident(case.ident.clone()).into());
        let locals: Vec<String> = (0..case.types.len()).map(|i| format!("part{i}")).collect();
        let locals = locals.join(", ");
        let (payload, pattern, value) = match case.types.len() {
            0 => ("()".to_owned(), String::new(), "()".to_owned()),
            1 => {
                holes.push(case.types[0].clone());
                (format!("__{}", hole + 1), format!("({locals})"), locals)
            }
            n => {
                let places: Vec<String> = (0..n).map(|i| format!("__{}", hole + 1 + i)).collect();
                holes.extend(case.types.iter().cloned());
                (format!("({})", places.join(", ")), format!("({locals})"), format!("({locals})"))
            }
        };
        let _ = write!(described, "({:?}, <{payload} as __rt::Payload>::TYPE), ", case.name);
        let _ = write!(layouts, "<{payload} as __rt::Payload>::LAYOUT, ");
        joined = format!("__rt::Join<<{payload} as __rt::Payload>::Flat, {joined}>");
        let _ = write!(
            lift,
            "{number} => {{ let {value} = <{payload} as __rt::Payload>::lift(slots); Self::__{hole} {pattern} }} "
        );
        let _ = write!(
            load,
            "{number} => {{ let {value} = <{payload} as __rt::Payload>::load(payload); Self::__{hole} {pattern} }} "
        );
        let _ = write!(
            store,
            "Self::__{hole} {pattern} => {{ at.write_case({n_cases}, {number}); <{payload} as __rt::Payload>::store({value}, payload); }} "
        );
    }
    let docs = docs(own_docs, cases.iter().map(|case| case.docs.as_slice()), &mut holes);
    let is_enum = cases.iter().all(|case| case.types.is_empty());
    let described = if is_enum {
        let names: String = cases.iter().map(|case| format!("{:?}, ", case.name)).collect();
        format!("__rt::Type::Enum({type_name:?}, &[{names}], {docs})")
    } else {
        format!("__rt::Type::Variant({type_name:?}, &[{described}], {docs})")
    };
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            type __Joined = {joined};
            const __PAYLOAD: __rt::Layout = __rt::Layout::largest(&[{layouts}]);
            const __OFFSET: usize = __rt::Layout::payload_offset({n_cases}, __PAYLOAD);
            #[allow(clippy::let_unit_value)]
            impl __rt::Value for __0 {{
                type Flat = (i32, __Joined);
                const TYPE: __rt::Type = {described};
                const LAYOUT: __rt::Layout = __rt::Layout::variant({n_cases}, __PAYLOAD);
                fn lift(slots: &mut __rt::Slots) -> Self {{
                    let (case, end) = slots.take_case::<__Joined>();
                    let value = match case {{
                        {lift}
                        _ => __rt::no_such_case({type_name:?}, case),
                    }};
                    slots.seek(end);
                    value
                }}
                fn load(at: __rt::At) -> Self {{
                    let payload = at.offset(__OFFSET);
                    match at.read_case({n_cases}) {{
                        {load}
                        case => __rt::no_such_case({type_name:?}, case),
                    }}
                }}
                fn store(self, at: __rt::At) {{
                    let payload = at.offset(__OFFSET);
                    match self {{
                        {store}
                    }}
                }}
            }}
        }};"
    );
    Ok(template::fill(&code, &holes))
}
