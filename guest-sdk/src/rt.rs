//! What the code that `#[jobs]` and `#[derive(Value)]` write needs. Not for people; it may change in any release.

mod docs;
mod flat;
pub(crate) mod imports;
pub(crate) mod memory;
mod types;
mod world;

pub use crate::value::{Payload, Sequence, Value};
pub use docs::{docs_len, encode_docs};
pub use flat::{
    A0, A1, A2, A3, A4, A5, A6, A7, A8, A9, A10, A11, A12, A13, A14, A15, Append, Core, Flat, Join, PARAMETERS_MAX,
    Passed, Slots,
};
pub use memory::At;
pub use types::{Docs, Layout, Layouts, Type, align_up};
pub use world::{Function, World, encode, encoded_len};

/// The core parameters of a function with these parameters.
pub type Parameters<Args> = Passed<<Args as Sequence>::Flat>;
/// The core result of a function with this result.
pub type Returned<R> = <<R as Payload>::Flat as Flat>::Returned;

/// Runs one exported function: lifts the arguments, calls, lowers the result.
pub fn call<Args: Sequence, R: Payload>(slots: [u64; PARAMETERS_MAX], function: impl FnOnce(Args) -> R) -> Returned<R> {
    #[cfg(target_arch = "wasm32")]
    memory::run_constructors_once();
    #[cfg(any(feature = "log", feature = "tracing"))]
    crate::facade::install();
    let mut slots = Slots::new(slots);
    let args = if Args::Flat::LEN <= PARAMETERS_MAX {
        Args::lift(&mut slots)
    } else {
        let address = slots.take() as u32;
        let args = Args::load(memory::borrow(address), 0);
        let layout = Args::LAYOUTS.record();
        memory::release(address, layout.size, layout.align);
        args
    };
    let result = function(args);
    if R::Flat::LEN <= 1 {
        // A single core value has at most eight bytes; it goes through a word of the stack.
        let mut word = 0_u64;
        result.store(At::of(&mut word));
        return Core::from_slot(word);
    }
    let at = memory::allocate(R::LAYOUT.size, R::LAYOUT.align);
    result.store(at);
    let slot = at.address() as usize as u64;
    Core::from_slot(slot)
}

/// A case number that the WIT type does not have. The host checks them, so this means a broken host or SDK.
pub fn no_such_case(type_name: &str, case: u32) -> ! {
    #[expect(clippy::panic, reason = "there is no value to go on with")]
    {
        panic!("the host passed case {case} of `{type_name}`, which has no such case")
    }
}
