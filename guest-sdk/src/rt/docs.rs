//! Writes the doc comments of a plugin's jobs and types while the plugin is compiled.
//!
//! The binary format of components has no place for them. The tools of the component model keep them in a custom
//! section, `package-docs`: one byte of version, then JSON with the docs of the world `root`, which is what a built
//! component is. They read it wherever in the component it stands, so the core module may carry it.

use super::{
    types::{Docs, Type},
    world::{Function, NAMED_TYPES_MAX, World},
};

/// How many bytes [`encode_docs`] writes.
pub const fn docs_len(world: &World) -> usize {
    Writer::<0>::new().world(world).len
}

/// The bytes of the custom section. `N` is [`docs_len`].
pub const fn encode_docs<const N: usize>(world: &World) -> [u8; N] {
    let writer = Writer::<N>::new().world(world);
    assert!(writer.len == N);
    writer.bytes
}

/// Writes JSON; where `N` is 0 it only counts.
struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
    /// Whether something stands in the object that is open.
    needs_comma: bool,
    seen: [&'static str; NAMED_TYPES_MAX],
    n_seen: usize,
}

impl<const N: usize> Writer<N> {
    const fn new() -> Writer<N> {
        Writer { bytes: [0; N], len: 0, needs_comma: false, seen: [""; NAMED_TYPES_MAX], n_seen: 0 }
    }

    const fn world(mut self, world: &World) -> Writer<N> {
        // Version 1 of the format.
        self.byte(1);
        self.raw("{\"worlds\":{\"root\":{");
        self.open("types");
        let mut i = 0;
        while i < world.functions.len() {
            let function = &world.functions[i];
            let mut j = 0;
            while j < function.params.len() {
                self.ty(function.params[j].1);
                j += 1;
            }
            if let Some(result) = function.result {
                self.ty(result);
            }
            i += 1;
        }
        self.close();
        self.open("func_exports");
        let mut i = 0;
        while i < world.functions.len() {
            self.function(&world.functions[i]);
            i += 1;
        }
        self.close();
        self.raw("}}}");
        self
    }

    const fn function(&mut self, function: &Function) {
        let mut has_params = false;
        let mut i = 0;
        while i < function.param_docs.len() {
            has_params |= !function.param_docs[i].is_empty();
            i += 1;
        }
        if function.docs.is_empty() && !has_params {
            return;
        }
        self.open(function.name);
        self.key("docs");
        self.raw("\"");
        self.lines(function.docs);
        if !function.docs.is_empty() && has_params {
            self.raw("\\n\\n");
        }
        // WIT has no docs of parameters: they follow those of the function as a list.
        let mut is_first = true;
        let mut i = 0;
        while i < function.param_docs.len() {
            if !function.param_docs[i].is_empty() {
                self.raw(if is_first { "- `" } else { "\\n- `" });
                self.raw(function.params[i].0);
                self.raw("`: ");
                self.lines(function.param_docs[i]);
                is_first = false;
            }
            i += 1;
        }
        self.raw("\"");
        self.close();
    }

    /// Writes a type and those in it, each once.
    const fn ty(&mut self, ty: &'static Type) {
        if let Some(name) = ty.name() {
            let mut i = 0;
            while i < self.n_seen {
                if super::world::same_text(self.seen[i], name) {
                    return;
                }
                i += 1;
            }
            assert!(self.n_seen < NAMED_TYPES_MAX, "a plugin has at most 512 named types");
            self.seen[self.n_seen] = name;
            self.n_seen += 1;
        }
        match ty {
            Type::Primitive(_) => {}
            Type::List(item) | Type::Option(item) => self.ty(item),
            Type::Result(ok, err) => {
                self.payload(*ok);
                self.payload(*err);
            }
            Type::Tuple(items) => {
                let mut i = 0;
                while i < items.len() {
                    self.ty(items[i]);
                    i += 1;
                }
            }
            Type::Alias(name, aliased, docs) => {
                self.ty(aliased);
                self.named(name, docs, &[]);
            }
            Type::Record(name, fields, docs) => {
                let mut names = [""; 128];
                let mut i = 0;
                while i < fields.len() {
                    names[i] = fields[i].0;
                    self.ty(fields[i].1);
                    i += 1;
                }
                self.named(name, docs, names.as_slice());
            }
            Type::Variant(name, cases, docs) => {
                let mut names = [""; 256];
                let mut i = 0;
                while i < cases.len() {
                    names[i] = cases[i].0;
                    self.payload(cases[i].1);
                    i += 1;
                }
                self.named(name, docs, names.as_slice());
            }
            Type::Enum(name, names, docs) | Type::Flags(name, names, docs) => self.named(name, docs, names),
        }
    }

    const fn payload(&mut self, ty: Option<&'static Type>) {
        if let Some(ty) = ty {
            self.ty(ty);
        }
    }

    const fn named(&mut self, name: &str, docs: &Docs, names: &[&str]) {
        let mut has_items = false;
        let mut i = 0;
        while i < docs.items.len() {
            has_items |= !docs.items[i].is_empty();
            i += 1;
        }
        if docs.own.is_empty() && !has_items {
            return;
        }
        self.open(name);
        if !docs.own.is_empty() {
            self.entry("docs", docs.own);
        }
        if has_items {
            self.open("items");
            let mut i = 0;
            while i < docs.items.len() {
                if !docs.items[i].is_empty() {
                    self.entry(names[i], docs.items[i]);
                }
                i += 1;
            }
            self.close();
        }
        self.close();
    }

    const fn open(&mut self, key: &str) {
        self.key(key);
        self.raw("{");
        self.needs_comma = false;
    }

    const fn close(&mut self) {
        self.raw("}");
        self.needs_comma = true;
    }

    const fn key(&mut self, key: &str) {
        if self.needs_comma {
            self.raw(",");
        }
        self.raw("\"");
        self.raw(key);
        self.raw("\":");
        self.needs_comma = true;
    }

    const fn entry(&mut self, key: &str, lines: &[&str]) {
        self.key(key);
        self.raw("\"");
        self.lines(lines);
        self.raw("\"");
    }

    /// The lines of a doc comment as the inside of a JSON string, each without the space after the slashes.
    const fn lines(&mut self, lines: &[&str]) {
        let mut i = 0;
        while i < lines.len() {
            if 0 < i {
                self.raw("\\n");
            }
            let line = lines[i].as_bytes();
            let mut j = if !line.is_empty() && line[0] == b' ' { 1 } else { 0 };
            while j < line.len() {
                self.escaped(line[j]);
                j += 1;
            }
            i += 1;
        }
    }

    const fn escaped(&mut self, byte: u8) {
        match byte {
            b'"' => self.raw("\\\""),
            b'\\' => self.raw("\\\\"),
            b'\n' => self.raw("\\n"),
            0..0x20 => {
                self.raw("\\u00");
                self.byte(HEX[(byte >> 4) as usize]);
                self.byte(HEX[(byte & 15) as usize]);
            }
            byte => self.byte(byte),
        }
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";
