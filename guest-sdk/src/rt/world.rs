//! Writes the WIT world of a plugin in the component binary format while the plugin is compiled.
//!
//! The linker of the WASI 0.2 targets reads this from a custom section whose name starts with `component-type` and
//! builds the component from it, which is why no WIT file and no binding generator is needed. Only what job functions
//! can have is written: exported functions and value types; no resources, no instances.

use super::types::Type;

/// One exported function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// In kebab case, as WIT wants it.
    pub name: &'static str,
    /// Names and types in order.
    pub params: &'static [(&'static str, &'static Type)],
    /// What it returns.
    pub result: Option<&'static Type>,
    /// Its doc comment, as lines.
    pub docs: &'static [&'static str],
    /// Those of its parameters, in their order.
    pub param_docs: &'static [&'static [&'static str]],
}

/// The exports of a plugin.
#[derive(Debug, Clone, Copy)]
pub struct World {
    /// In kebab case; becomes `clockjack:plugin/<name>`.
    pub name: &'static str,
    /// In order of their source.
    pub functions: &'static [Function],
}

/// Room for the text of one world: about 500 functions. Compilation fails with a message when it is not enough.
const WORLD_BYTES_MAX: usize = 64 * 1024;
/// How many named types one world may have.
pub(super) const NAMED_TYPES_MAX: usize = 512;

/// How many bytes [`encode`] writes.
pub const fn encoded_len(world: &World) -> usize {
    Writer::new().component(world).len
}

/// The bytes of the custom section. `N` is [`encoded_len`].
pub const fn encode<const N: usize>(world: &World) -> [u8; N] {
    let writer = Writer::new().component(world);
    assert!(writer.len == N);
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = writer.bytes[i];
        i += 1;
    }
    bytes
}

/// Type codes of the component binary format.
mod code {
    pub(super) const COMPONENT: u8 = 0x41;
    pub(super) const FUNCTION: u8 = 0x40;
    pub(super) const RECORD: u8 = 0x72;
    pub(super) const VARIANT: u8 = 0x71;
    pub(super) const LIST: u8 = 0x70;
    pub(super) const TUPLE: u8 = 0x6f;
    pub(super) const FLAGS: u8 = 0x6e;
    pub(super) const ENUM: u8 = 0x6d;
    pub(super) const OPTION: u8 = 0x6b;
    pub(super) const RESULT: u8 = 0x6a;
    /// Declarations in a component type.
    pub(super) const DECLARE_TYPE: u8 = 0x01;
    pub(super) const DECLARE_IMPORT: u8 = 0x03;
    pub(super) const DECLARE_EXPORT: u8 = 0x04;
}

/// How a type is referred to: by its code or by its index.
#[derive(Clone, Copy)]
enum Reference {
    Primitive(u8),
    Index(u32),
}

struct Writer {
    bytes: [u8; WORLD_BYTES_MAX],
    len: usize,
    n_types: u32,
    n_declarations: u32,
    named: [(Option<&'static Type>, u32); NAMED_TYPES_MAX],
    n_named: usize,
}

impl Writer {
    const fn new() -> Writer {
        Writer {
            bytes: [0; WORLD_BYTES_MAX],
            len: 0,
            n_types: 0,
            n_declarations: 0,
            named: [(None, 0); NAMED_TYPES_MAX],
            n_named: 0,
        }
    }

    const fn component(mut self, world: &World) -> Writer {
        // Preamble of a component: magic, version 13, layer 1.
        self.raw(b"\0asm\x0d\0\x01\0");
        // The section by which wit-component knows its own metadata: format 4, UTF-8 strings.
        let section = self.open_section(0);
        self.text("wit-component-encoding");
        self.raw(&[4, 0]);
        self.close(section);

        // A component type that exports the world, itself a component type.
        let section = self.open_section(7);
        self.raw(&[1, code::COMPONENT, 2, code::DECLARE_TYPE, code::COMPONENT]);
        let count = self.reserve();
        let mut i = 0;
        while i < world.functions.len() {
            self.function(&world.functions[i]);
            i += 1;
        }
        self.patch(count, self.n_declarations);
        self.raw(&[code::DECLARE_EXPORT, 0]);
        let prefix = "clockjack:plugin/";
        self.u32((prefix.len() + world.name.len()) as u32);
        self.raw(prefix.as_bytes());
        self.raw(world.name.as_bytes());
        // It is component type 0.
        self.raw(&[0x04, 0]);
        self.close(section);

        let section = self.open_section(11);
        self.raw(&[1, 0]);
        self.text(world.name);
        // Type 0, no ascribed type.
        self.raw(&[0x03, 0, 0]);
        self.close(section);
        self
    }

    const fn function(&mut self, function: &Function) {
        // Types that the signature needs come first. Their references are kept in the order of the parameters.
        let mut params = [Reference::Primitive(0); 64];
        assert!(function.params.len() <= params.len(), "a job takes at most 64 parameters");
        let mut i = 0;
        while i < function.params.len() {
            params[i] = self.declare(function.params[i].1);
            i += 1;
        }
        let result = match function.result {
            Some(ty) => Some(self.declare(ty)),
            None => None,
        };
        let index = self.begin_type(code::FUNCTION);
        self.u32(function.params.len() as u32);
        let mut i = 0;
        while i < function.params.len() {
            self.text(function.params[i].0);
            self.reference(params[i]);
            i += 1;
        }
        match result {
            Some(result) => {
                self.raw(&[0]);
                self.reference(result);
            }
            None => self.raw(&[1, 0]),
        }
        self.n_declarations += 1;
        self.raw(&[code::DECLARE_EXPORT, 0]);
        self.text(function.name);
        self.raw(&[0x01]);
        self.u32(index);
    }

    /// Declares a type and everything in it, unless it is primitive or was declared before.
    const fn declare(&mut self, ty: &'static Type) -> Reference {
        if let Type::Primitive(code) = ty {
            return Reference::Primitive(*code);
        }
        if let Some(name) = ty.name() {
            if let Some(index) = self.find(ty, name) {
                return Reference::Index(index);
            }
            let index = self.define(ty);
            // A named type gets its name by an import with an equality bound; the import is a new index.
            self.n_declarations += 1;
            self.raw(&[code::DECLARE_IMPORT, 0]);
            self.text(name);
            self.raw(&[0x03, 0x00]);
            self.u32(index);
            let index = self.n_types;
            self.n_types += 1;
            assert!(self.n_named < NAMED_TYPES_MAX, "a plugin has at most 512 named types");
            self.named[self.n_named] = (Some(ty), index);
            self.n_named += 1;
            return Reference::Index(index);
        }
        Reference::Index(self.define(ty))
    }

    const fn define(&mut self, ty: &'static Type) -> u32 {
        match ty {
            Type::Primitive(code) => self.begin_type(*code),
            Type::List(item) => self.define_around(code::LIST, item),
            Type::Option(item) => self.define_around(code::OPTION, item),
            Type::Result(ok, err) => self.define_result(*ok, *err),
            Type::Tuple(items) => self.define_tuple(items),
            // Of something primitive: see `Type::Alias`.
            Type::Alias(_, aliased, _) => self.define(aliased),
            Type::Record(_, fields, _) => self.define_record(fields),
            Type::Variant(_, cases, _) => self.define_variant(cases),
            Type::Enum(_, names, _) => self.define_names(code::ENUM, names),
            Type::Flags(_, names, _) => self.define_names(code::FLAGS, names),
        }
    }

    const fn define_around(&mut self, code: u8, item: &'static Type) -> u32 {
        let item = self.declare(item);
        let index = self.begin_type(code);
        self.reference(item);
        index
    }

    const fn define_result(&mut self, ok: Option<&'static Type>, err: Option<&'static Type>) -> u32 {
        let ok = self.declare_payload(ok);
        let err = self.declare_payload(err);
        let index = self.begin_type(code::RESULT);
        self.payload(ok);
        self.payload(err);
        index
    }

    const fn define_tuple(&mut self, items: &'static [&'static Type]) -> u32 {
        let mut references = [Reference::Primitive(0); 16];
        let mut i = 0;
        while i < items.len() {
            references[i] = self.declare(items[i]);
            i += 1;
        }
        let index = self.begin_type(code::TUPLE);
        self.u32(items.len() as u32);
        let mut i = 0;
        while i < items.len() {
            self.reference(references[i]);
            i += 1;
        }
        index
    }

    const fn define_record(&mut self, fields: &'static [(&'static str, &'static Type)]) -> u32 {
        let mut references = [Reference::Primitive(0); 128];
        assert!(fields.len() <= references.len(), "a record has at most 128 fields");
        let mut i = 0;
        while i < fields.len() {
            references[i] = self.declare(fields[i].1);
            i += 1;
        }
        let index = self.begin_type(code::RECORD);
        self.u32(fields.len() as u32);
        let mut i = 0;
        while i < fields.len() {
            self.text(fields[i].0);
            self.reference(references[i]);
            i += 1;
        }
        index
    }

    const fn define_variant(&mut self, cases: &'static [(&'static str, Option<&'static Type>)]) -> u32 {
        let mut references = [None; 256];
        assert!(cases.len() <= references.len(), "a variant has at most 256 cases");
        let mut i = 0;
        while i < cases.len() {
            references[i] = self.declare_payload(cases[i].1);
            i += 1;
        }
        let index = self.begin_type(code::VARIANT);
        self.u32(cases.len() as u32);
        let mut i = 0;
        while i < cases.len() {
            self.text(cases[i].0);
            self.payload(references[i]);
            // Refines no other case.
            self.raw(&[0]);
            i += 1;
        }
        index
    }

    const fn define_names(&mut self, code: u8, names: &[&str]) -> u32 {
        let index = self.begin_type(code);
        self.u32(names.len() as u32);
        let mut i = 0;
        while i < names.len() {
            self.text(names[i]);
            i += 1;
        }
        index
    }

    const fn declare_payload(&mut self, ty: Option<&'static Type>) -> Option<Reference> {
        match ty {
            Some(ty) => Some(self.declare(ty)),
            None => None,
        }
    }

    const fn payload(&mut self, payload: Option<Reference>) {
        match payload {
            Some(reference) => {
                self.raw(&[1]);
                self.reference(reference);
            }
            None => self.raw(&[0]),
        }
    }

    const fn begin_type(&mut self, code: u8) -> u32 {
        self.n_declarations += 1;
        self.raw(&[code::DECLARE_TYPE, code]);
        self.n_types += 1;
        self.n_types - 1
    }

    const fn find(&self, ty: &Type, name: &str) -> Option<u32> {
        let mut i = 0;
        while i < self.n_named {
            if let (Some(known), index) = self.named[i]
                && let Some(known_name) = known.name()
                && same_text(known_name, name)
            {
                assert!(same(known, ty), "two different types of this plugin have the same name; rename one of them");
                return Some(index);
            }
            i += 1;
        }
        None
    }

    const fn reference(&mut self, reference: Reference) {
        match reference {
            Reference::Primitive(code) => self.raw(&[code]),
            Reference::Index(index) => self.signed(index),
        }
    }

    const fn raw(&mut self, bytes: &[u8]) {
        assert!(self.len + bytes.len() <= WORLD_BYTES_MAX, "the signatures of this plugin's jobs are too long");
        let mut i = 0;
        while i < bytes.len() {
            self.bytes[self.len] = bytes[i];
            self.len += 1;
            i += 1;
        }
    }

    const fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.raw(text.as_bytes());
    }

    const fn u32(&mut self, mut value: u32) {
        while 0x7f < value {
            self.raw(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.raw(&[value as u8]);
    }

    /// A type index where a type code could also stand is a signed number: codes are the negative ones.
    const fn signed(&mut self, mut value: u32) {
        while 0x3f < value {
            self.raw(&[value as u8 | 0x80]);
            value >>= 7;
        }
        self.raw(&[value as u8]);
    }

    const fn open_section(&mut self, id: u8) -> usize {
        self.raw(&[id]);
        self.reserve()
    }

    const fn close(&mut self, at: usize) {
        self.patch(at, (self.len - at - 5) as u32);
    }

    /// Five bytes for a number that is not known yet; the format allows padded numbers.
    const fn reserve(&mut self) -> usize {
        self.raw(&[0; 5]);
        self.len - 5
    }

    const fn patch(&mut self, at: usize, mut value: u32) {
        let mut i = 0;
        while i < 4 {
            self.bytes[at + i] = value as u8 | 0x80;
            value >>= 7;
            i += 1;
        }
        self.bytes[at + 4] = value as u8;
    }
}

pub(super) const fn same_text(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

const fn same_names(a: &[&str], b: &[&str]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if !same_text(a[i], b[i]) {
            return false;
        }
        i += 1;
    }
    true
}

const fn same_payload(a: Option<&Type>, b: Option<&Type>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

const fn same(a: &Type, b: &Type) -> bool {
    match (a, b) {
        (Type::Primitive(a), Type::Primitive(b)) => *a == *b,
        (Type::List(a), Type::List(b)) | (Type::Option(a), Type::Option(b)) => same(a, b),
        (Type::Result(a_ok, a_err), Type::Result(b_ok, b_err)) => {
            same_payload(*a_ok, *b_ok) && same_payload(*a_err, *b_err)
        }
        (Type::Tuple(a), Type::Tuple(b)) => {
            let mut i = 0;
            while i < a.len() && i < b.len() {
                if !same(a[i], b[i]) {
                    return false;
                }
                i += 1;
            }
            a.len() == b.len()
        }
        (Type::Record(a_name, a, _), Type::Record(b_name, b, _)) => {
            let mut i = 0;
            while i < a.len() && i < b.len() {
                if !same_text(a[i].0, b[i].0) || !same(a[i].1, b[i].1) {
                    return false;
                }
                i += 1;
            }
            a.len() == b.len() && same_text(a_name, b_name)
        }
        (Type::Variant(a_name, a, _), Type::Variant(b_name, b, _)) => {
            let mut i = 0;
            while i < a.len() && i < b.len() {
                if !same_text(a[i].0, b[i].0) || !same_payload(a[i].1, b[i].1) {
                    return false;
                }
                i += 1;
            }
            a.len() == b.len() && same_text(a_name, b_name)
        }
        (Type::Enum(a_name, a, _), Type::Enum(b_name, b, _))
        | (Type::Flags(a_name, a, _), Type::Flags(b_name, b, _)) => same_text(a_name, b_name) && same_names(a, b),
        (Type::Alias(a_name, a, _), Type::Alias(b_name, b, _)) => same_text(a_name, b_name) && same(a, b),
        _ => false,
    }
}
