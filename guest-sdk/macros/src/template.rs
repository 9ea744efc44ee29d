//! Code as text with numbered holes: what `quote` does, in thirty lines.

use proc_macro::{Group, TokenStream, TokenTree};

/// Parses `code` and puts `holes[n]` wherever the identifier `__n` stands.
pub(crate) fn fill(code: &str, holes: &[TokenStream]) -> TokenStream {
    let tokens: TokenStream = code.parse().expect("the macro writes code that is lexically right");
    replace(tokens, holes)
}

fn replace(tokens: TokenStream, holes: &[TokenStream]) -> TokenStream {
    tokens
        .into_iter()
        .flat_map(|token| match token {
            TokenTree::Group(group) => {
                let mut filled = Group::new(group.delimiter(), replace(group.stream(), holes));
                filled.set_span(group.span());
                TokenStream::from(TokenTree::Group(filled))
            }
            TokenTree::Ident(ident) => {
                let text = ident.to_string();
                match text.strip_prefix("__").and_then(|number| number.parse::<usize>().ok()) {
                    Some(number) => holes[number].clone(),
                    None => TokenTree::Ident(ident).into(),
                }
            }
            other => other.into(),
        })
        .collect()
}
