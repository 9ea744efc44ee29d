//! `#[jobs]` and `#[job]`: exports of the component and the sections that describe them.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicBool, Ordering},
};

use proc_macro::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};

use crate::{
    names, template,
    tokens::{Cursor, Error, check_owned, lines, sequence, sequence_of_names, split_commas},
};

/// One function that is a job.
struct Job {
    ident: Ident,
    name: String,
    params: Vec<Param>,
    result: TokenStream,
    docs: Vec<TokenStream>,
}

struct Param {
    ident: Ident,
    name: String,
    ty: TokenStream,
    docs: Vec<TokenStream>,
}

/// `#[job]` before a function.
pub(crate) fn expand_one(arguments: TokenStream, function: TokenStream) -> Result<TokenStream, Error> {
    if let Some(token) = arguments.into_iter().next() {
        return Err(Error::new(token.span(), "`#[job]` takes no arguments"));
    }
    let mut cursor = Cursor::new(function.clone());
    let attributes = cursor.take_attributes();
    cursor.skip_visibility();
    check_plain(&mut cursor)?;
    if !cursor.take_word("fn") {
        return Err(Error::new(
            Span::call_site(),
            "`#[job]` stands before a function; for a module of functions there is `#[clockjack_sdk::jobs]`",
        ));
    }
    if let Some(span) = attributes.condition {
        return Err(Error::new(span, "a job cannot depend on `#[cfg]`"));
    }
    let job = read_function(&mut cursor, attributes.docs)?;
    let mut tokens = without_param_docs(function, std::slice::from_ref(&job));
    tokens.extend(export(&job));
    tokens.extend(describe(&format!("fn-{}", job.ident), std::slice::from_ref(&job)));
    Ok(tokens)
}

/// `#[jobs]` before a module.
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
    let mut contents = without_param_docs(body.stream(), &jobs);
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
        let attributes = cursor.take_attributes();
        if !cursor.take_word("pub") {
            cursor.next();
            continue;
        }
        check_plain(&mut cursor)?;
        if !cursor.take_word("fn") {
            continue;
        }
        if let Some(span) = attributes.condition {
            return Err(Error::new(span, "a job cannot depend on `#[cfg]`; leave out `pub` if it is no job"));
        }
        let job = read_function(&mut cursor, attributes.docs)?;
        if jobs.iter().any(|known| known.name == job.name) {
            return Err(Error::new(job.ident.span(), format!("two jobs are called `{}` in WIT", job.name)));
        }
        jobs.push(job);
    }
    Ok(jobs)
}

/// Refuses what the host cannot call, and skips `const`.
fn check_plain(cursor: &mut Cursor) -> Result<(), Error> {
    cursor.take_word("const");
    for qualifier in ["async", "unsafe", "extern"] {
        if cursor.peek_is(qualifier) {
            let span = cursor.take_ident().map_or_else(Span::call_site, |ident| ident.span());
            return Err(Error::new(
                span,
                format!("a job is a plain `pub fn`, without `{qualifier}`; leave out `pub` if it is no job"),
            ));
        }
    }
    Ok(())
}

/// The functions as they are written, but without the doc comments of the jobs' parameters, which Rust does not know.
fn without_param_docs(tokens: TokenStream, jobs: &[Job]) -> TokenStream {
    let mut is_after_fn = false;
    let mut is_job = false;
    let strip = |token: TokenTree| {
        let was_job = std::mem::replace(&mut is_job, false);
        let was_after_fn = std::mem::replace(&mut is_after_fn, false);
        match token {
            TokenTree::Ident(ident) => {
                is_after_fn = ident.to_string() == "fn";
                is_job = was_after_fn && jobs.iter().any(|job| job.ident.to_string() == ident.to_string());
                TokenTree::Ident(ident)
            }
            TokenTree::Group(group) if was_job && group.delimiter() == Delimiter::Parenthesis => {
                let mut stripped = Group::new(Delimiter::Parenthesis, without_docs(group.stream()));
                stripped.set_span(group.span());
                TokenTree::Group(stripped)
            }
            other => other,
        }
    };
    tokens.into_iter().map(strip).collect()
}

/// Without each `#[doc = …]`.
fn without_docs(tokens: TokenStream) -> TokenStream {
    let mut kept = Vec::new();
    for token in tokens {
        if let TokenTree::Group(group) = &token
            && group.delimiter() == Delimiter::Bracket
            && Cursor::new(group.stream()).peek_is("doc")
            && matches!(kept.last(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#')
        {
            kept.pop();
            continue;
        }
        kept.push(token);
    }
    kept.into_iter().collect()
}

fn read_function(cursor: &mut Cursor, docs: Vec<TokenStream>) -> Result<Job, Error> {
    let Some(ident) = cursor.take_ident() else {
        return Err(Error::new(Span::call_site(), "expected the name of a function"));
    };
    if cursor.peek_is_punct('<') {
        return Err(Error::new(ident.span(), "a job cannot be generic: its WIT signature is fixed"));
    }
    let Some(params) = cursor.take_group(Delimiter::Parenthesis) else {
        return Err(Error::new(ident.span(), "expected the parameters of the function"));
    };
    let params = split_commas(params.stream()).into_iter().map(read_param).collect::<Result<Vec<_>, _>>()?;
    names::check_distinct(params.iter().map(|param| (&param.ident, &param.name)))?;
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
    Ok(Job { name: names::kebab(&ident)?, ident, params, result, docs })
}

fn read_param(tokens: TokenStream) -> Result<Param, Error> {
    let mut cursor = Cursor::new(tokens);
    let docs = cursor.take_attributes().docs;
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
    Ok(Param { name: names::kebab(&ident)?, ident, ty, docs })
}

/// The exported function with the core signature that the canonical ABI wants.
///
/// The prefix is the component model's standard mangling of names. The plain name would do for the linker too, but
/// as a symbol it would take the place of a function of the C library: a job called `read` or `exit` must not.
fn export(job: &Job) -> TokenStream {
    let mut holes = vec![TokenTree::Ident(job.ident.clone()).into(), job.result.clone()];
    let types: Vec<TokenStream> = job.params.iter().map(|param| param.ty.clone()).collect();
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
        let mut param_docs = String::new();
        for Param { name, ty, docs, .. } in &job.params {
            let _ = write!(params, "({name:?}, &<__{} as __rt::Value>::TYPE), ", holes.len());
            holes.push(ty.clone());
            param_docs += &(lines(docs, &mut holes) + ", ");
        }
        let docs = lines(&job.docs, &mut holes);
        let _ = write!(
            functions,
            "__rt::Function {{
                name: {:?},
                params: &[{params}],
                result: <__{} as __rt::Payload>::TYPE,
                docs: {docs},
                param_docs: &[{param_docs}],
            }}, ",
            job.name,
            holes.len()
        );
        holes.push(job.result.clone());
    }
    let docs_section = docs_section(&world);
    let code = format!(
        "const _: () = {{
            use ::clockjack_sdk::rt as __rt;
            const __WORLD: __rt::World = __rt::World {{ name: {world:?}, functions: &[{functions}] }};
            const __LEN: usize = __rt::encoded_len(&__WORLD);
            const __BYTES: [u8; __LEN] = __rt::encode::<__LEN>(&__WORLD);
            const __DOCS_LEN: usize = __rt::docs_len(&__WORLD);
            const __DOCS_BYTES: [u8; __DOCS_LEN] = __rt::encode_docs::<__DOCS_LEN>(&__WORLD);
            #[cfg(target_arch = \"wasm32\")]
            #[allow(unsafe_code)]
            #[used]
            #[unsafe(link_section = \"component-type:clockjack-plugin:{world}\")]
            static __SECTION: [u8; __LEN] = __BYTES;
            #[cfg(target_arch = \"wasm32\")]
            #[allow(unsafe_code)]
            #[used]
            #[unsafe(link_section = \"{docs_section}\")]
            static __DOCS: [u8; __DOCS_LEN] = __DOCS_BYTES;
            #[cfg(not(target_arch = \"wasm32\"))]
            const _: ([u8; __LEN], [u8; __DOCS_LEN]) = (__BYTES, __DOCS_BYTES);
        }};"
    );
    template::fill(&code, &holes)
}

/// Where the docs of a world go.
///
/// A component can have one section with docs, and the linker would join several to something that is none. So the
/// first attribute of the plugin's own crate takes it; what comes later goes to sections in which only Clockjack looks.
fn docs_section(world: &str) -> String {
    static IS_TAKEN: AtomicBool = AtomicBool::new(false);
    // Cargo sets it for the packages that are built for themselves, not as a dependency.
    let is_own = std::env::var_os("CARGO_PRIMARY_PACKAGE").is_some();
    if is_own && !IS_TAKEN.swap(true, Ordering::Relaxed) {
        return "package-docs".to_owned();
    }
    format!("clockjack-docs:{world}")
}
