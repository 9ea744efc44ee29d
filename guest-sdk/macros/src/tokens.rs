//! Reading tokens: attributes, lists with commas, and errors that point at them.

use std::iter::Peekable;

use proc_macro::{Delimiter, Group, Ident, Spacing, Span, TokenStream, TokenTree, token_stream};

/// A compile error at a place.
pub(crate) struct Error {
    span: Span,
    message: String,
}

impl Error {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Error {
        Error { span, message: message.into() }
    }

    pub(crate) fn into_tokens(self) -> TokenStream {
        let tokens: TokenStream =
            format!("::core::compile_error!({:?});", self.message).parse().expect("a call of a macro");
        tokens
            .into_iter()
            .map(|mut token| {
                token.set_span(self.span);
                token
            })
            .collect()
    }
}

/// What the macros want to know of the attributes before an item.
pub(crate) struct Attributes {
    /// The contents of each `#[wit(…)]`.
    pub(crate) wit: Vec<TokenStream>,
    /// Where a `#[cfg(…)]` is.
    pub(crate) condition: Option<Span>,
    /// The lines of the doc comment: what stands after each `#[doc =`.
    pub(crate) docs: Vec<TokenStream>,
}

/// A place in a list of tokens.
pub(crate) struct Cursor(Peekable<token_stream::IntoIter>);

impl Cursor {
    pub(crate) fn new(tokens: TokenStream) -> Cursor {
        Cursor(tokens.into_iter().peekable())
    }

    pub(crate) fn next(&mut self) -> Option<TokenTree> {
        self.0.next()
    }

    pub(crate) fn peek_is(&mut self, word: &str) -> bool {
        matches!(self.0.peek(), Some(TokenTree::Ident(ident)) if ident.to_string() == word)
    }

    pub(crate) fn peek_is_punct(&mut self, punct: char) -> bool {
        matches!(self.0.peek(), Some(TokenTree::Punct(p)) if p.as_char() == punct)
    }

    pub(crate) fn take_word(&mut self, word: &str) -> bool {
        let found = self.peek_is(word);
        if found {
            self.0.next();
        }
        found
    }

    pub(crate) fn take_ident(&mut self) -> Option<Ident> {
        match self.0.peek() {
            Some(TokenTree::Ident(ident)) => {
                let ident = ident.clone();
                self.0.next();
                Some(ident)
            }
            _ => None,
        }
    }

    pub(crate) fn take_group(&mut self, delimiter: Delimiter) -> Option<Group> {
        match self.0.peek() {
            Some(TokenTree::Group(group)) if group.delimiter() == delimiter => {
                let group = group.clone();
                self.0.next();
                Some(group)
            }
            _ => None,
        }
    }

    /// Skips attributes and returns what matters of them.
    pub(crate) fn take_attributes(&mut self) -> Attributes {
        let mut attributes = Attributes { wit: Vec::new(), condition: None, docs: Vec::new() };
        while self.peek_is_punct('#') {
            self.0.next();
            let Some(attribute) = self.take_group(Delimiter::Bracket) else { break };
            let mut inner = Cursor::new(attribute.stream());
            if inner.peek_is("cfg") {
                attributes.condition = Some(attribute.span());
            }
            if inner.peek_is("doc") {
                inner.next();
                if inner.peek_is_punct('=') {
                    inner.next();
                    attributes.docs.push(inner.rest());
                }
                continue;
            }
            if inner.take_word("wit")
                && let Some(arguments) = inner.take_group(Delimiter::Parenthesis)
            {
                attributes.wit.push(arguments.stream());
            }
        }
        attributes
    }

    /// Skips `pub` and `pub(…)`.
    pub(crate) fn skip_visibility(&mut self) {
        if self.take_word("pub") {
            self.take_group(Delimiter::Parenthesis);
        }
    }

    pub(crate) fn is_empty(&mut self) -> bool {
        self.0.peek().is_none()
    }

    /// Everything that is left.
    pub(crate) fn rest(self) -> TokenStream {
        self.0.collect()
    }
}

/// Splits at commas that are not inside `<…>`; groups are single tokens. The arrow of a function type is no bracket.
pub(crate) fn split_commas(tokens: TokenStream) -> Vec<TokenStream> {
    let mut parts = Vec::new();
    let mut part = Vec::new();
    let mut depth = 0_usize;
    let mut after_dash = false;
    for token in tokens {
        let mut is_dash = false;
        if let TokenTree::Punct(punct) = &token {
            match punct.as_char() {
                '<' => depth += 1,
                '>' if !after_dash => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    parts.push(part.drain(..).collect());
                    continue;
                }
                '-' => is_dash = punct.spacing() == Spacing::Joint,
                _ => {}
            }
        }
        after_dash = is_dash;
        part.push(token);
    }
    if !part.is_empty() {
        parts.push(part.into_iter().collect());
    }
    parts
}

/// Refuses borrowed types, whose message from the compiler would be about lifetimes.
pub(crate) fn check_owned(ty: &TokenStream, what: &str) -> Result<(), Error> {
    for token in ty.clone() {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == '&' || punct.as_char() == '\'' => {
                return Err(Error::new(
                    punct.span(),
                    format!("{what} must be owned: write `String` instead of `&str`, `Vec<T>` instead of `&[T]`"),
                ));
            }
            TokenTree::Group(group) => check_owned(&group.stream(), what)?,
            _ => {}
        }
    }
    Ok(())
}

/// Nested pairs of such types: `(A, (B, ()))`. Their tokens go to `holes`, their place is in the text.
pub(crate) fn sequence(types: &[TokenStream], holes: &mut Vec<TokenStream>) -> String {
    let mut text = String::new();
    for ty in types {
        text.push_str(&format!("(__{}, ", holes.len()));
        holes.push(ty.clone());
    }
    text.push_str("()");
    text.push_str(&")".repeat(types.len()));
    text
}

/// The same as a pattern or an expression.
pub(crate) fn sequence_of_names(names: &[String]) -> String {
    let mut text: String = names.iter().map(|name| format!("({name}, ")).collect();
    text.push_str("()");
    text.push_str(&")".repeat(names.len()));
    text
}

/// A constant list of such lines, as text with holes.
pub(crate) fn lines(docs: &[TokenStream], holes: &mut Vec<TokenStream>) -> String {
    let mut text = String::from("&[");
    for line in docs {
        text.push_str(&format!("__{}, ", holes.len()));
        holes.push(line.clone());
    }
    text.push(']');
    text
}
