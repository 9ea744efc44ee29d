//! The manifest: text in, jobs or diagnostics out.

pub mod fields;
pub mod node;
pub mod parse;
pub mod scalar;
