//! `#[jobs]`: exports of the component and the section that describes them.

use std::fmt::Write as _;

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::{
    names, template,
    tokens::{Cursor, Error, check_owned, sequence, sequence_of_names, split_commas},
};

/// One `pub fn`.
struct Job {
    ident: Ident,
    name: String,
    params: Vec<(String, TokenStream)>,
    result: TokenStream,
}

pub(crate) fn expand(arguments: TokenStream, module: TokenStream) -> Result<TokenStream, Error> {
    if let Some(token) = arguments.into_iter().next() {
        return Err(Error::new(token.span(), "`#[jobs]` takes no arguments"));
    }
    let mut tokens: Vec<TokenTree> = module.into_iter().collect();
    let module = tokens
        .windows(2)
        .find(|pair| matches!(&pair[0], TokenTree::Ident(ident) if ident.to_string() == "mod"))
        .map(|pair| pair[1].to_string());
    let (module, body) = match (module, tokens.pop()) {
        (Some(module), Some(TokenTree::Group(group))) if group.delimiter() == Delimiter::Brace => (module, group),
        _ => {
            return Err(Error::new(
                Span::call_site(),
                "`#[jobs]` stands before a module with a body: `#[clockjack_sdk::jobs] mod jobs { pub fn … }`",
            ));
        }
    };
    let jobs = find_jobs(body.stream())?;
    if jobs.is_empty() {
        return Err(Error::new(body.span(), "no job here: write at least one `pub fn` in this module"));
    }
    let mut contents = body.stream();
    contents.extend(jobs.iter().map(export));
    contents.extend(describe(&module, &jobs));
    let mut filled = Group::new(Delimiter::Brace, contents);
    filled.set_span(body.span());
    tokens.push(TokenTree::Group(filled));
    Ok(tokens.into_iter().collect())
}

fn find_jobs(body: TokenStream) -> Result<Vec<Job>, Error> {
    let mut cursor = Cursor::new(body);
    let mut jobs: Vec<Job> = Vec::new();
    while !cursor.is_empty() {
        let condition = cursor.take_attributes().condition;
        if !cursor.take_word("pub") {
            cursor.next();
            continue;
        }
        for qualifier in ["async", "unsafe", "extern"] {
            if cursor.peek_is(qualifier) {
                let span = cursor.take_ident().map_or_else(Span::call_site, |ident| ident.span());
                return Err(Error::new(
                    span,
                    format!("a job is a plain `pub fn`, without `{qualifier}`; leave out `pub` if it is no job"),
                ));
            }
        }
        cursor.take_word("const");
        if !cursor.take_word("fn") {
            continue;
        }
        if let Some(span) = condition {
            return Err(Error::new(span, "a job cannot depend on `#[cfg]`; leave out `pub` if it is no job"));
        }
        let job = read_function(&mut cursor)?;
        if jobs.iter().any(|known| known.name == job.name) {
            return Err(Error::new(job.ident.span(), format!("two jobs are called `{}` in WIT", job.name)));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

fn read_function(cursor: &mut Cursor) -> Result<Job, Error> {
    let Some(ident) = cursor.take_ident() else {
        return Err(Error::new(Span::call_site(), "expected the name of a function"));
    };
    if cursor.peek_is_punct('<') {
        return Err(Error::new(ident.span(), "a job cannot be generic: its WIT signature is fixed"));
    }
    let Some(params) = cursor.take_group(Delimiter::Parenthesis) else {
        return Err(Error::new(ident.span(), "expected the parameters of the function"));
    };
    let params = split_commas(params.stream()).into_iter().map(read_param).collect::<Result<_, _>>()?;
    let mut result = TokenStream::new();
    if cursor.peek_is_punct('-') {
        cursor.next();
        cursor.next();
        let mut tokens = Vec::new();
        loop {
            if cursor.peek_is("where") {
                return Err(Error::new(ident.span(), "a job cannot be generic: its WIT signature is fixed"));
            }
            match cursor.next() {
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => break,
                Some(token) => tokens.push(token),
                None => return Err(Error::new(ident.span(), "this function has no body")),
            }
        }
        result = tokens.into_iter().collect();
        check_owned(&result, "the result of a job")?;
    } else {
        result.extend([TokenTree::Group(Group::new(Delimiter::Parenthesis, TokenStream::new()))]);
    }
    Ok(Job { name: names::kebab(&ident)?, ident, params, result })
}

fn read_param(tokens: TokenStream) -> Result<(String, TokenStream), Error> {
    let mut cursor = Cursor::new(tokens);
    cursor.take_attributes();
    cursor.take_word("mut");
    let ident = cursor.take_ident();
    let is_typed = cursor.peek_is_punct(':');
    let colon = cursor.next();
    let Some(ident) = ident.filter(|_| is_typed) else {
        let span = colon.map_or_else(Span::call_site, |token| token.span());
        return Err(Error::new(span, "a parameter of a job is a name and a type: callers pass arguments by name"));
    };
    let ty = cursor.rest();
    check_owned(&ty, "an argument of a job")?;
    Ok((names::kebab(&ident)?, ty))
}

/// The exported function with the core signature that the canonical ABI wants.
///
/// The prefix is the component model's standard mangling of names. The plain name would do for the linker too, but
/// as a symbol it would take the place of a function of the C library: a job called `read` or `exit` must not.
fn export(job: &Job) -> TokenStream {
    let mut holes = vec![TokenTree::Ident(job.ident.clone()).into(), job.result.clone()];
    let types: Vec<TokenStream> = job.params.iter().map(|(_, ty)| ty.clone()).collect();
    let args = sequence(&types, &mut holes);
    let names: Vec<String> = (0..types.len()).map(|i| format!("arg{i}")).collect();
    let mut core_params = String::new();
    let mut slots = String::new();
    for i in 0..16 {
        let _ = write!(core_params, "a{i}: __rt::A{i}<__rt::Parameters<__Args>>, ");
        let _ = write!(slots, "__rt::Core::into_slot(a{i}), ");
    }
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            type __Args = {args};
            type __Result = __1;
            #[cfg(target_arch = \"wasm32\")]
            #[allow(unsafe_code, improper_ctypes_definitions, clippy::too_many_arguments)]
            #[unsafe(export_name = \"cm32p2||{name}\")]
            extern \"C\" fn export({core_params}) -> __rt::Returned<__Result> {{
                __rt::call::<__Args, __Result>([{slots}], |{pattern}: __Args| __0({arguments}))
            }}
            #[cfg(not(target_arch = \"wasm32\"))]
            const _: fn({function_types}) -> __Result = __0;
        }};",
        name = job.name,
        pattern = sequence_of_names(&names),
        arguments = names.join(", "),
        function_types = (0..types.len()).map(|i| format!("__{},", i + 2)).collect::<String>(),
    );
    template::fill(&code, &holes)
}

/// The custom section from which the linker learns the component's type.
fn describe(module: &str, jobs: &[Job]) -> TokenStream {
    // The linker joins sections of one name, so the module is a part of it.
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let world = names::world(&format!("{package}-{module}"));
    let mut holes = Vec::new();
    let mut functions = String::new();
    for job in jobs {
        let mut params = String::new();
        for (name, ty) in &job.params {
            let _ = write!(params, "({name:?}, &<__{} as __rt::Value>::TYPE), ", holes.len());
            holes.push(ty.clone());
        }
        let _ = write!(
            functions,
            "__rt::Function {{ name: {:?}, params: &[{params}], result: <__{} as __rt::Payload>::TYPE }}, ",
            job.name,
            holes.len()
        );
        holes.push(job.result.clone());
    }
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            const __WORLD: __rt::World = __rt::World {{ name: {world:?}, functions: &[{functions}] }};
            const __LEN: usize = __rt::encoded_len(&__WORLD);
            const __BYTES: [u8; __LEN] = __rt::encode::<__LEN>(&__WORLD);
            #[cfg(target_arch = \"wasm32\")]
            #[allow(unsafe_code)]
            #[used]
            #[unsafe(link_section = \"component-type:clockjack-plugin:{world}\")]
            static __SECTION: [u8; __LEN] = __BYTES;
            #[cfg(not(target_arch = \"wasm32\"))]
            const _: [u8; __LEN] = __BYTES;
        }};"
    );
    template::fill(&code, &holes)
}
