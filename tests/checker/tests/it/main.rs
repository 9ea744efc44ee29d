//! The checker is checked: it finds nothing wrong with good histories, and everything that is made wrong.

mod cut;
mod mutants;
mod mutation_ends;
mod mutations;
mod reference;
mod rules;
mod scene;
mod script;
mod slots;
mod volume;
