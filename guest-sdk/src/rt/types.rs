//! Descriptions of WIT types as constants, and their sizes in memory.

/// A WIT type. Every [`Value`](crate::Value) has one as a constant.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Type {
    /// `bool`, a number, `char` or `string`: the byte is its code in the component binary format.
    Primitive(u8),
    /// `list<T>`
    List(&'static Type),
    /// `option<T>`
    Option(&'static Type),
    /// `tuple<…>`
    Tuple(&'static [&'static Type]),
    /// `result<T, E>`, either side may be absent
    Result(Option<&'static Type>, Option<&'static Type>),
    /// `type name = T`, where `T` is primitive
    Alias(&'static str, &'static Type, Docs),
    /// `record`: name and fields
    Record(&'static str, &'static [(&'static str, &'static Type)], Docs),
    /// `variant`: name and cases
    Variant(&'static str, &'static [(&'static str, Option<&'static Type>)], Docs),
    /// `enum`: name and cases
    Enum(&'static str, &'static [&'static str], Docs),
    /// `flags`: name and flags
    Flags(&'static str, &'static [&'static str], Docs),
}

/// The doc comments of a named type, as lines.
#[derive(Debug, Clone, Copy)]
pub struct Docs {
    /// Of the type.
    pub own: &'static [&'static str],
    /// Of its fields, cases or flags, in their order.
    pub items: &'static [&'static [&'static str]],
}

impl Type {
    pub(crate) const STRING: Type = Type::Primitive(0x73);

    /// The name under which the world exports this type; only named types have one.
    pub(crate) const fn name(&self) -> Option<&'static str> {
        match self {
            Type::Alias(name, ..)
            | Type::Record(name, ..)
            | Type::Variant(name, ..)
            | Type::Enum(name, ..)
            | Type::Flags(name, ..) => Some(name),
            Type::Primitive(_) | Type::List(_) | Type::Option(_) | Type::Tuple(_) | Type::Result(..) => None,
        }
    }
}

/// Size and alignment of a value in linear memory, as the canonical ABI defines them.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Bytes, a multiple of the alignment.
    pub size: usize,
    /// 1, 2, 4 or 8.
    pub align: usize,
}

impl Layout {
    /// A scalar, aligned to its own size.
    pub const fn scalar(size: usize) -> Layout {
        Layout { size, align: size }
    }

    /// No bytes: an absent payload.
    pub const NONE: Layout = Layout { size: 0, align: 1 };

    /// A pointer and a length: strings and lists.
    pub const PAIR: Layout = Layout { size: 8, align: 4 };

    /// The discriminant of a variant or enum.
    pub const fn discriminant(n_cases: usize) -> Layout {
        Layout::scalar(if n_cases <= 1 << 8 {
            1
        } else if n_cases <= 1 << 16 {
            2
        } else {
            4
        })
    }

    /// A variant whose largest payload has this layout (see [`Layout::largest`]).
    pub const fn variant(n_cases: usize, payload: Layout) -> Layout {
        let discriminant = Layout::discriminant(n_cases);
        let align = max(discriminant.align, payload.align);
        Layout { size: align_up(align_up(discriminant.size, payload.align) + payload.size, align), align }
    }

    /// The layout that fits each of these payloads.
    pub const fn largest(payloads: &[Layout]) -> Layout {
        let mut largest = Layout::NONE;
        let mut i = 0;
        while i < payloads.len() {
            largest.size = max(largest.size, payloads[i].size);
            largest.align = max(largest.align, payloads[i].align);
            i += 1;
        }
        largest
    }

    /// Where the payload of such a variant starts.
    pub const fn payload_offset(n_cases: usize, payload: Layout) -> usize {
        align_up(Layout::discriminant(n_cases).size, payload.align)
    }
}

/// The next multiple of `align`, which is a power of two.
pub const fn align_up(offset: usize, align: usize) -> usize {
    (offset + align - 1) & !(align - 1)
}

const fn max(a: usize, b: usize) -> usize {
    if a < b { b } else { a }
}

/// The layouts of fields in order, as a linked constant: associated constants can be put in front of each other.
#[derive(Debug, Clone, Copy)]
pub enum Layouts {
    /// No more fields.
    End,
    /// One field and those after it.
    Field(Layout, &'static Layouts),
}

impl Layouts {
    /// The layout of a record with these fields.
    pub const fn record(&self) -> Layout {
        let mut layout = Layout::NONE;
        let mut rest = self;
        while let Layouts::Field(field, after) = rest {
            layout.size = align_up(layout.size, field.align) + field.size;
            layout.align = max(layout.align, field.align);
            rest = after;
        }
        Layout { size: align_up(layout.size, layout.align), align: layout.align }
    }
}
