//! The attribute and the derive of `clockjack-sdk`. See there for their use.
//!
//! It reads tokens by hand: `syn` and `quote` would take more time to build than everything else in a plugin. That is
//! possible because types are left to the compiler: the macros only move their tokens into trait projections, so
//! aliases, paths and generics of the standard library work, and an unfit type is reported where it is written.

mod jobs;
mod names;
mod template;
mod tokens;
mod value;

use proc_macro::TokenStream;

/// Exports the `pub fn`s of a module as typed functions of the component. See the documentation of `clockjack_sdk`.
#[proc_macro_attribute]
pub fn jobs(arguments: TokenStream, module: TokenStream) -> TokenStream {
    jobs::expand(arguments, module).unwrap_or_else(tokens::Error::into_tokens)
}

/// Exports one function as a typed function of the component. See the documentation of `clockjack_sdk`.
#[proc_macro_attribute]
pub fn job(arguments: TokenStream, function: TokenStream) -> TokenStream {
    jobs::expand_one(arguments, function).unwrap_or_else(tokens::Error::into_tokens)
}

/// Makes a struct or an enum a type that jobs can take and return. See `clockjack_sdk::Value`.
#[proc_macro_derive(Value, attributes(wit))]
pub fn value(item: TokenStream) -> TokenStream {
    value::expand(item).unwrap_or_else(tokens::Error::into_tokens)
}
