//! The canonical ABI's flattening, as types: which core parameters and which core result an exported function has.
//!
//! The attribute macro sees only tokens, so it cannot know that `Summary` is five words long. It therefore declares
//! every export with sixteen parameters whose types are computed here; those that a function does not need are `()`,
//! which the C ABI of WASM leaves out. Nothing in this file exists at run time.

/// One core parameter or result: `i32`, `i64`, `f32`, `f64`, or `()` for "not there".
pub trait Core: Copy {
    /// The core type that can carry this one or `Other`, as variants with different payloads need.
    type Join<Other: Core>: Core;
    /// `Join` seen from the other side, one for each left-hand type.
    type WithI32: Core;
    /// See `WithI32`.
    type WithF32: Core;
    /// See `WithI32`.
    type WithF64: Core;
    /// The bits of the value, in the low end of a slot.
    fn into_slot(self) -> u64;
    /// The value whose bits are in the low end of a slot.
    fn from_slot(slot: u64) -> Self;
}

impl Core for () {
    type Join<Other: Core> = Other;
    type WithI32 = i32;
    type WithF32 = f32;
    type WithF64 = f64;
    fn into_slot(self) -> u64 {
        0
    }
    fn from_slot(_: u64) -> Self {}
}

impl Core for i32 {
    type Join<Other: Core> = Other::WithI32;
    type WithI32 = i32;
    type WithF32 = i32;
    type WithF64 = i64;
    fn into_slot(self) -> u64 {
        u64::from(self as u32)
    }
    fn from_slot(slot: u64) -> Self {
        slot as i32
    }
}

impl Core for f32 {
    type Join<Other: Core> = Other::WithF32;
    type WithI32 = i32;
    type WithF32 = f32;
    type WithF64 = i64;
    fn into_slot(self) -> u64 {
        u64::from(self.to_bits())
    }
    fn from_slot(slot: u64) -> Self {
        f32::from_bits(slot as u32)
    }
}

impl Core for i64 {
    type Join<Other: Core> = i64;
    type WithI32 = i64;
    type WithF32 = i64;
    type WithF64 = i64;
    fn into_slot(self) -> u64 {
        self as u64
    }
    fn from_slot(slot: u64) -> Self {
        slot as i64
    }
}

impl Core for f64 {
    type Join<Other: Core> = Other::WithF64;
    type WithI32 = i64;
    type WithF32 = i64;
    type WithF64 = f64;
    fn into_slot(self) -> u64 {
        self.to_bits()
    }
    fn from_slot(slot: u64) -> Self {
        f64::from_bits(slot)
    }
}

/// A list of core types: `()` or `(first, rest)`.
pub trait Flat {
    /// How many core types there are.
    const LEN: usize;
    /// The first, or `()`.
    type Head: Core;
    /// All but the first.
    type Tail: Flat;
    /// This list followed by another.
    type Append<Other: Flat>: Flat;
    /// The two lists joined place by place.
    type Join<Other: Flat>: Flat;
    /// `Join` seen from the other side, when the left-hand list is `(Head, Tail)`.
    type JoinCons<Head: Core, Tail: Flat>: Flat;
    /// `Whole` when this list is empty, otherwise one pointer: applied to what is left after sixteen parameters.
    type OrPointer<Whole: Flat>: Flat;
    /// The core result: none, the only type, or a pointer to the stored result.
    type Returned: Core;
    /// `Only` when this list is empty, otherwise a pointer.
    type ReturnedAfter<Only: Core>: Core;
}

impl Flat for () {
    const LEN: usize = 0;
    type Head = ();
    type Tail = ();
    type Append<Other: Flat> = Other;
    type Join<Other: Flat> = Other;
    type JoinCons<Head: Core, Tail: Flat> = (Head, Tail);
    type OrPointer<Whole: Flat> = Whole;
    type Returned = ();
    type ReturnedAfter<Only: Core> = Only;
}

impl<H: Core, T: Flat> Flat for (H, T) {
    const LEN: usize = 1 + T::LEN;
    type Head = H;
    type Tail = T;
    type Append<Other: Flat> = (H, T::Append<Other>);
    type Join<Other: Flat> = Other::JoinCons<H, T>;
    type JoinCons<Head: Core, Tail: Flat> = (Head::Join<H>, Tail::Join<T>);
    type OrPointer<Whole: Flat> = (i32, ());
    type Returned = T::ReturnedAfter<H>;
    type ReturnedAfter<Only: Core> = i32;
}

/// `A` followed by `B`.
pub type Append<A, B> = <A as Flat>::Append<B>;
/// `A` and `B` joined place by place.
pub type Join<A, B> = <A as Flat>::Join<B>;
/// What is really passed for parameters that flatten to `L`: at most sixteen values, otherwise one pointer.
pub type Passed<L> = <T16<L> as Flat>::OrPointer<L>;

/// How many core parameters a function may have before they move to memory.
pub const PARAMETERS_MAX: usize = 16;

type Tail<L> = <L as Flat>::Tail;
type T4<L> = Tail<Tail<Tail<Tail<L>>>>;
type T8<L> = T4<T4<L>>;
type T12<L> = T4<T8<L>>;
type T16<L> = T8<T8<L>>;

/// The first core parameter, and so on for its neighbours.
pub type A0<L> = <L as Flat>::Head;
#[doc(hidden)]
pub type A1<L> = A0<Tail<L>>;
#[doc(hidden)]
pub type A2<L> = A0<Tail<Tail<L>>>;
#[doc(hidden)]
pub type A3<L> = A0<Tail<Tail<Tail<L>>>>;
#[doc(hidden)]
pub type A4<L> = A0<T4<L>>;
#[doc(hidden)]
pub type A5<L> = A1<T4<L>>;
#[doc(hidden)]
pub type A6<L> = A2<T4<L>>;
#[doc(hidden)]
pub type A7<L> = A3<T4<L>>;
#[doc(hidden)]
pub type A8<L> = A0<T8<L>>;
#[doc(hidden)]
pub type A9<L> = A1<T8<L>>;
#[doc(hidden)]
pub type A10<L> = A2<T8<L>>;
#[doc(hidden)]
pub type A11<L> = A3<T8<L>>;
#[doc(hidden)]
pub type A12<L> = A0<T12<L>>;
#[doc(hidden)]
pub type A13<L> = A1<T12<L>>;
#[doc(hidden)]
pub type A14<L> = A2<T12<L>>;
#[doc(hidden)]
pub type A15<L> = A3<T12<L>>;

/// The core values of one call, in order, each as its bits.
#[derive(Debug)]
pub struct Slots {
    slots: [u64; PARAMETERS_MAX],
    next: usize,
}

impl Slots {
    /// Starts at the first value.
    pub fn new(slots: [u64; PARAMETERS_MAX]) -> Slots {
        Slots { slots, next: 0 }
    }

    /// The bits of the next value.
    pub fn take(&mut self) -> u64 {
        let slot = self.slots[self.next];
        self.next += 1;
        slot
    }

    /// Takes a discriminant; the second number is where the value after the payload starts.
    pub fn take_case<Payload: Flat>(&mut self) -> (u32, usize) {
        let case = self.take() as u32;
        (case, self.next + Payload::LEN)
    }

    /// Goes on at that value.
    pub fn seek(&mut self, next: usize) {
        self.next = next;
    }
}
