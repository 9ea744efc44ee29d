//! The trait of everything that a job can take or return, and its implementations for Rust's own types.

use crate::rt::{
    Append, Flat, Join, Layout, Layouts, Slots, Type, align_up,
    memory::{self, At},
};

mod std_types;

pub(crate) use std_types::instant;

/// A type that a job can take as an argument or return.
///
/// Implemented for these types of Rust; derive it for your own:
///
/// | Rust | WIT |
/// |---|---|
/// | `bool`, `char`, `u8` to `u64`, `f32`, `f64` | the same |
/// | `i8` to `i64` | `s8` to `s64` |
/// | `String` | `string` |
/// | `Vec<T>` | `list<T>` |
/// | `Option<T>`, `Result<T, E>`, also as fields and items | `option<T>`, `result<T, E>`; `()` is no value |
/// | tuples of up to 12 | `tuple<…>` |
/// | `BTreeMap<K, V>` | `list<tuple<K, V>>`, in order of the keys |
/// | `Duration`, `SystemTime` | `u64` in milliseconds, since 1970 for an instant; named `millis` and `instant` |
/// | `Box<T>` | `T` |
/// | `struct` with named fields | `record` |
/// | `enum` without payloads | `enum` |
/// | `enum` with payloads | `variant`; a case with several fields carries a tuple |
/// | `struct` of `bool`s marked `#[wit(flags)]` | `flags` |
///
/// Names become kebab case: `NumberOfLines` is `number-of-lines`, and so is `number_of_lines`. Doc comments of types,
/// fields and cases become those of the WIT.
///
/// Not there: `usize`, whose width differs between host and guest; `HashMap`, whose order differs from run to run; types
/// with parameters and types that contain themselves, which WIT does not have.
///
/// ```
/// use clockjack_sdk::Value;
///
/// #[derive(Debug, Value)]
/// pub struct Summary {
///     pub requests: u64,
///     pub slowest: Option<String>,
///     pub by_status: Vec<(u16, u64)>,
///     pub verdict: Verdict,
/// }
///
/// #[derive(Debug, Value)]
/// pub enum Verdict {
///     Calm,
///     Busy,
///     Overloaded(f64),
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument or a result of a job",
    label = "has no WIT type",
    note = "jobs take and return bool, integers of 8 to 64 bits, floats, char, String, Vec, Option, Result, tuples, BTreeMap, Duration, SystemTime, and types with `#[derive(clockjack_sdk::Value)]`; errors of other libraries become `clockjack_sdk::Failure` by `?`"
)]
pub trait Value: Sized + 'static {
    #[doc(hidden)]
    type Flat: Flat;
    #[doc(hidden)]
    const TYPE: Type;
    #[doc(hidden)]
    const LAYOUT: Layout;
    #[doc(hidden)]
    fn lift(slots: &mut Slots) -> Self;
    #[doc(hidden)]
    fn load(at: At) -> Self;
    #[doc(hidden)]
    fn store(self, at: At);

    #[doc(hidden)]
    fn load_list(address: u32, len: u32) -> Vec<Self> {
        let size = Self::LAYOUT.size;
        let start = memory::borrow(address);
        let items = (0..len as usize).map(|i| Self::load(start.offset(i * size))).collect();
        memory::release(address, size * len as usize, Self::LAYOUT.align);
        items
    }

    #[doc(hidden)]
    fn store_list(items: Vec<Self>) -> (u32, u32) {
        let Layout { size, align } = Self::LAYOUT;
        let len = items.len();
        let start = memory::allocate(size * len, align);
        for (i, item) in items.into_iter().enumerate() {
            item.store(start.offset(i * size));
        }
        (start.address() as usize as u32, len as u32)
    }
}

macro_rules! number {
    ($($rust:ty, $core:ty, $code:literal;)+) => {$(
        impl Value for $rust {
            type Flat = ($core, ());
            const TYPE: Type = Type::Primitive($code);
            const LAYOUT: Layout = Layout::scalar(size_of::<$rust>());
            fn lift(slots: &mut Slots) -> Self {
                slots.take() as $rust
            }
            fn load(at: At) -> Self {
                at.read()
            }
            fn store(self, at: At) {
                at.write(self);
            }
            // The bytes of a list of numbers are the same on both sides.
            fn load_list(address: u32, len: u32) -> Vec<Self> {
                memory::take(address, len)
            }
            fn store_list(items: Vec<Self>) -> (u32, u32) {
                memory::give(items)
            }
        }
    )+};
}

number! {
    i8, i32, 0x7e;
    u8, i32, 0x7d;
    i16, i32, 0x7c;
    u16, i32, 0x7b;
    i32, i32, 0x7a;
    u32, i32, 0x79;
    i64, i64, 0x78;
    u64, i64, 0x77;
}

macro_rules! float {
    ($($rust:ty, $bits:ty, $code:literal;)+) => {$(
        impl Value for $rust {
            type Flat = ($rust, ());
            const TYPE: Type = Type::Primitive($code);
            const LAYOUT: Layout = Layout::scalar(size_of::<$rust>());
            fn lift(slots: &mut Slots) -> Self {
                <$rust>::from_bits(slots.take() as $bits)
            }
            fn load(at: At) -> Self {
                at.read()
            }
            fn store(self, at: At) {
                at.write(self);
            }
            fn load_list(address: u32, len: u32) -> Vec<Self> {
                memory::take(address, len)
            }
            fn store_list(items: Vec<Self>) -> (u32, u32) {
                memory::give(items)
            }
        }
    )+};
}

float! {
    f32, u32, 0x76;
    f64, u64, 0x75;
}

impl Value for bool {
    type Flat = (i32, ());
    const TYPE: Type = Type::Primitive(0x7f);
    const LAYOUT: Layout = Layout::scalar(1);
    fn lift(slots: &mut Slots) -> Self {
        slots.take() as u32 != 0
    }
    fn load(at: At) -> Self {
        at.read::<u8>() != 0
    }
    fn store(self, at: At) {
        at.write(u8::from(self));
    }
}

impl Value for char {
    type Flat = (i32, ());
    const TYPE: Type = Type::Primitive(0x74);
    const LAYOUT: Layout = Layout::scalar(4);
    fn lift(slots: &mut Slots) -> Self {
        char::from_u32(slots.take() as u32).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
    fn load(at: At) -> Self {
        char::from_u32(at.read()).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
    fn store(self, at: At) {
        at.write(u32::from(self));
    }
}

/// The host checks that strings are UTF-8; one that is not becomes readable instead of undefined.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

impl Value for String {
    type Flat = (i32, (i32, ()));
    const TYPE: Type = Type::STRING;
    const LAYOUT: Layout = Layout::PAIR;
    fn lift(slots: &mut Slots) -> Self {
        let (address, len) = (slots.take() as u32, slots.take() as u32);
        text(memory::take(address, len))
    }
    fn load(at: At) -> Self {
        let (address, len) = at.read_pair();
        text(memory::take(address, len))
    }
    fn store(self, at: At) {
        let (address, len) = memory::give(self.into_bytes());
        at.write(address);
        at.offset(4).write(len);
    }
}

impl<T: Value> Value for Vec<T> {
    type Flat = (i32, (i32, ()));
    const TYPE: Type = Type::List(&T::TYPE);
    const LAYOUT: Layout = Layout::PAIR;
    fn lift(slots: &mut Slots) -> Self {
        let (address, len) = (slots.take() as u32, slots.take() as u32);
        T::load_list(address, len)
    }
    fn load(at: At) -> Self {
        let (address, len) = at.read_pair();
        T::load_list(address, len)
    }
    fn store(self, at: At) {
        let (address, len) = T::store_list(self);
        at.write(address);
        at.offset(4).write(len);
    }
}

impl<T: Value> Value for Option<T> {
    type Flat = (i32, T::Flat);
    const TYPE: Type = Type::Option(&T::TYPE);
    const LAYOUT: Layout = Layout::variant(2, T::LAYOUT);
    fn lift(slots: &mut Slots) -> Self {
        let (case, end) = slots.take_case::<T::Flat>();
        let value = (case != 0).then(|| T::lift(slots));
        slots.seek(end);
        value
    }
    fn load(at: At) -> Self {
        (at.read_case(2) != 0).then(|| T::load(at.offset(Layout::payload_offset(2, T::LAYOUT))))
    }
    fn store(self, at: At) {
        at.write_case(2, u32::from(self.is_some()));
        if let Some(value) = self {
            value.store(at.offset(Layout::payload_offset(2, T::LAYOUT)));
        }
    }
}

impl<T: Payload, E: Payload> Value for Result<T, E> {
    type Flat = (i32, Join<T::Flat, E::Flat>);
    const TYPE: Type = Type::Result(T::TYPE, E::TYPE);
    const LAYOUT: Layout = Layout::variant(2, Layout::largest(&[T::LAYOUT, E::LAYOUT]));
    fn lift(slots: &mut Slots) -> Self {
        let (case, end) = slots.take_case::<Join<T::Flat, E::Flat>>();
        let value = if case == 0 { Ok(T::lift(slots)) } else { Err(E::lift(slots)) };
        slots.seek(end);
        value
    }
    fn load(at: At) -> Self {
        let payload = at.offset(Layout::payload_offset(2, Layout::largest(&[T::LAYOUT, E::LAYOUT])));
        if at.read_case(2) == 0 { Ok(T::load(payload)) } else { Err(E::load(payload)) }
    }
    fn store(self, at: At) {
        let payload = at.offset(Layout::payload_offset(2, Layout::largest(&[T::LAYOUT, E::LAYOUT])));
        match self {
            Ok(value) => {
                at.write_case(2, 0);
                value.store(payload);
            }
            Err(error) => {
                at.write_case(2, 1);
                error.store(payload);
            }
        }
    }
}

/// What may be absent where a [`Value`] may stand: results of functions, sides of a `Result`, payloads of cases.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument or a result of a job",
    label = "has no WIT type",
    note = "jobs take and return bool, integers of 8 to 64 bits, floats, char, String, Vec, Option, Result, tuples, BTreeMap, Duration, SystemTime, and types with `#[derive(clockjack_sdk::Value)]`; errors of other libraries become `clockjack_sdk::Failure` by `?`"
)]
pub trait Payload: Sized + 'static {
    #[doc(hidden)]
    type Flat: Flat;
    #[doc(hidden)]
    const TYPE: Option<&'static Type>;
    #[doc(hidden)]
    const LAYOUT: Layout;
    #[doc(hidden)]
    fn lift(slots: &mut Slots) -> Self;
    #[doc(hidden)]
    fn load(at: At) -> Self;
    #[doc(hidden)]
    fn store(self, at: At);
}

impl Payload for () {
    type Flat = ();
    const TYPE: Option<&'static Type> = None;
    const LAYOUT: Layout = Layout::NONE;
    fn lift(_: &mut Slots) -> Self {}
    fn load(_: At) -> Self {}
    fn store(self, _: At) {}
}

impl<T: Value> Payload for T {
    type Flat = <T as Value>::Flat;
    const TYPE: Option<&'static Type> = Some(&<T as Value>::TYPE);
    const LAYOUT: Layout = <T as Value>::LAYOUT;
    fn lift(slots: &mut Slots) -> Self {
        Value::lift(slots)
    }
    fn load(at: At) -> Self {
        Value::load(at)
    }
    fn store(self, at: At) {
        Value::store(self, at);
    }
}

/// Values one after another: parameters, the fields of a record, the items of a tuple. `()` or `(first, rest)`.
#[doc(hidden)]
pub trait Sequence: Sized {
    type Flat: Flat;
    const LAYOUTS: Layouts;
    fn lift(slots: &mut Slots) -> Self;
    fn load(at: At, offset: usize) -> Self;
    fn store(self, at: At, offset: usize);
}

impl Sequence for () {
    type Flat = ();
    const LAYOUTS: Layouts = Layouts::End;
    fn lift(_: &mut Slots) -> Self {}
    fn load(_: At, _: usize) -> Self {}
    fn store(self, _: At, _: usize) {}
}

impl<H: Value, T: Sequence> Sequence for (H, T) {
    type Flat = Append<H::Flat, T::Flat>;
    const LAYOUTS: Layouts = Layouts::Field(H::LAYOUT, &T::LAYOUTS);
    fn lift(slots: &mut Slots) -> Self {
        let first = H::lift(slots);
        (first, T::lift(slots))
    }
    fn load(at: At, offset: usize) -> Self {
        let offset = align_up(offset, H::LAYOUT.align);
        let first = H::load(at.offset(offset));
        (first, T::load(at, offset + H::LAYOUT.size))
    }
    fn store(self, at: At, offset: usize) {
        let offset = align_up(offset, H::LAYOUT.align);
        self.0.store(at.offset(offset));
        self.1.store(at, offset + H::LAYOUT.size);
    }
}

macro_rules! sequence {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first, sequence!($($rest)*)) };
}

macro_rules! tuple {
    ($($item:ident)+) => {
        impl<$($item: Value),+> Value for ($($item,)+) {
            type Flat = <sequence!($($item)+) as Sequence>::Flat;
            const TYPE: Type = Type::Tuple(&[$(&$item::TYPE),+]);
            const LAYOUT: Layout = <sequence!($($item)+) as Sequence>::LAYOUTS.record();
            #[expect(non_snake_case, reason = "one name for the type and its value")]
            fn lift(slots: &mut Slots) -> Self {
                $(let $item = $item::lift(slots);)+
                ($($item,)+)
            }
            #[expect(non_snake_case, reason = "one name for the type and its value")]
            fn load(at: At) -> Self {
                let sequence!($($item)+) = <sequence!($($item)+) as Sequence>::load(at, 0);
                ($($item,)+)
            }
            #[expect(non_snake_case, reason = "one name for the type and its value")]
            fn store(self, at: At) {
                let ($($item,)+) = self;
                Sequence::store(sequence!($($item)+), at, 0);
            }
        }
    };
}

tuple!(A);
tuple!(A B);
tuple!(A B C);
tuple!(A B C D);
tuple!(A B C D E);
tuple!(A B C D E F);
tuple!(A B C D E F G);
tuple!(A B C D E F G H);
tuple!(A B C D E F G H I);
tuple!(A B C D E F G H I J);
tuple!(A B C D E F G H I J K);
tuple!(A B C D E F G H I J K L);
