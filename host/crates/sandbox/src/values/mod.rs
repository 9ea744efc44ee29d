//! Values across the boundary: JSON to component values by type, and back.

pub(crate) mod from_json;
pub(crate) mod schema;
pub(crate) mod templates;
pub(crate) mod to_json;
pub(crate) mod typename;

#[cfg(test)]
mod tests;
