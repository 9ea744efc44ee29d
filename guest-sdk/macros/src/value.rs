//! `#[derive(Value)]`: records, variants, enums and flags.

use std::fmt::Write as _;

use proc_macro::{Delimiter, Ident, Span, TokenStream, TokenTree};

use crate::{
    names, template,
    tokens::{Cursor, Error, check_owned, sequence, sequence_of_names, split_commas},
};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream, Error> {
    let mut cursor = Cursor::new(item);
    let is_flags = cursor.take_attributes().wit.into_iter().any(|arguments| Cursor::new(arguments).take_word("flags"));
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
        return flags(&ident, parts);
    }
    if is_struct { record(&ident, parts) } else { cases(&ident, parts) }
}

/// Name in Rust and type of each field.
fn fields(parts: Vec<TokenStream>) -> Result<Vec<(Ident, TokenStream)>, Error> {
    parts
        .into_iter()
        .map(|part| {
            let mut cursor = Cursor::new(part);
            cursor.take_attributes();
            cursor.skip_visibility();
            let Some(name) = cursor.take_ident() else {
                return Err(Error::new(Span::call_site(), "expected the name of a field"));
            };
            cursor.next();
            let ty = cursor.rest();
            check_owned(&ty, "a field of a record")?;
            Ok((name, ty))
        })
        .collect()
}

fn record(ident: &Ident, parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let fields = fields(parts)?;
    let name = names::kebab(ident)?;
    let mut holes = vec![TokenTree::Ident(ident.clone()).into()];
    let types: Vec<TokenStream> = fields.iter().map(|(_, ty)| ty.clone()).collect();
    let sequence = sequence(&types, &mut holes);
    let mut described = String::new();
    let mut lifted = String::new();
    for (i, (field, _)) in fields.iter().enumerate() {
        let _ = write!(described, "({:?}, &<__{} as __rt::Value>::TYPE), ", names::kebab(field)?, i + 1);
        let _ = write!(lifted, "{field}: __rt::Value::lift(slots), ");
    }
    let locals: Vec<String> = (0..fields.len()).map(|i| format!("field{i}")).collect();
    let bindings: String =
        fields.iter().zip(&locals).map(|((field, _), local)| format!("{field}: {local}, ")).collect();
    let nested = sequence_of_names(&locals);
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            type __Fields = {sequence};
            impl __rt::Value for __0 {{
                type Flat = <__Fields as __rt::Sequence>::Flat;
                const TYPE: __rt::Type = __rt::Type::Record({name:?}, &[{described}]);
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

fn flags(ident: &Ident, parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let fields = fields(parts)?;
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
    for (i, (field, ty)) in fields.iter().enumerate() {
        let _ = write!(described, "{:?}, ", names::kebab(field)?);
        // Converting through the written type makes a flag that is no `bool` an error at that type.
        let _ =
            write!(from_bits, "{field}: <__{} as ::core::convert::From<bool>>::from(bits & (1 << {i}) != 0), ", i + 1);
        let _ = write!(to_bits, " | (u32::from(self.{field}) << {i})");
        holes.push(ty.clone());
    }
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
                const TYPE: __rt::Type = __rt::Type::Flags({name:?}, &[{described}]);
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
}

fn read_case(part: TokenStream) -> Result<Case, Error> {
    let mut cursor = Cursor::new(part);
    cursor.take_attributes();
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
    Ok(Case { name: names::kebab(&ident)?, ident, types })
}

fn cases(ident: &Ident, parts: Vec<TokenStream>) -> Result<TokenStream, Error> {
    let cases = parts.into_iter().map(read_case).collect::<Result<Vec<_>, _>>()?;
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
    let is_enum = cases.iter().all(|case| case.types.is_empty());
    let described = if is_enum {
        let names: String = cases.iter().map(|case| format!("{:?}, ", case.name)).collect();
        format!("__rt::Type::Enum({type_name:?}, &[{names}])")
    } else {
        format!("__rt::Type::Variant({type_name:?}, &[{described}])")
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
