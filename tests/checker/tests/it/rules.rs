//! The generator of slots.
