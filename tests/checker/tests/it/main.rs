//! The checker is checked: it finds nothing wrong with good histories, and everything that is made wrong.

mod cut;
mod mutants;
mod mutations;
mod reference;
mod scene;
mod script;
mod rules;
mod slots;
mod volume;
