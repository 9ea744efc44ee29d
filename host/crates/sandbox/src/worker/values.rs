//! Arguments and results as bytes: a tag, then what belongs to it. JSON would change some numbers of guests, and cost
//! more for lists of bytes.

use serde_json::{Number, Value as Json};
use wasmtime::component::Val;

/// How deep values may lie in each other. Types of components end at a hundred; JSON that a guest wrote at 128.
const DEPTH_MAX: usize = 256;

/// What cannot be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("the bytes are no value")]
    Malformed,
    #[error("a value of this type cannot leave its process")]
    Bound,
}

/// Arguments as bytes.
pub(crate) fn write_values(values: &[Val]) -> Result<Vec<u8>, Unfit> {
    let mut writer = Writer::default();
    writer.list(values)?;
    Ok(writer.bytes)
}

/// The arguments in some bytes.
pub(crate) fn read_values(bytes: &[u8]) -> Result<Vec<Val>, Unfit> {
    let mut reader = Reader { rest: bytes };
    let values = reader.list(DEPTH_MAX)?;
    reader.end()?;
    Ok(values)
}

/// A JSON value as bytes.
pub(crate) fn write_json(json: &Json) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.json(json);
    writer.bytes
}

/// The JSON value in some bytes.
pub(crate) fn read_json(bytes: &[u8]) -> Result<Json, Unfit> {
    let mut reader = Reader { rest: bytes };
    let json = reader.json(DEPTH_MAX)?;
    reader.end()?;
    Ok(json)
}

/// The tags of component values, and of JSON after them.
mod tag {
    pub(super) const FALSE: u8 = 0;
    pub(super) const TRUE: u8 = 1;
    pub(super) const S8: u8 = 2;
    pub(super) const U8: u8 = 3;
    pub(super) const S16: u8 = 4;
    pub(super) const U16: u8 = 5;
    pub(super) const S32: u8 = 6;
    pub(super) const U32: u8 = 7;
    pub(super) const S64: u8 = 8;
    pub(super) const U64: u8 = 9;
    pub(super) const F32: u8 = 10;
    pub(super) const F64: u8 = 11;
    pub(super) const CHAR: u8 = 12;
    pub(super) const TEXT: u8 = 13;
    pub(super) const LIST: u8 = 14;
    pub(super) const FIXED_LIST: u8 = 15;
    pub(super) const MAP: u8 = 16;
    pub(super) const RECORD: u8 = 17;
    pub(super) const TUPLE: u8 = 18;
    pub(super) const VARIANT: u8 = 19;
    pub(super) const ENUM: u8 = 20;
    pub(super) const NONE: u8 = 21;
    pub(super) const SOME: u8 = 22;
    pub(super) const OK: u8 = 23;
    pub(super) const ERR: u8 = 24;
    pub(super) const FLAGS: u8 = 25;
    pub(super) const NULL: u8 = 26;
    pub(super) const BYTES: u8 = 27;
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn tagged(&mut self, tag: u8, rest: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(rest);
    }

    fn count(&mut self, n: usize) {
        self.bytes.extend_from_slice(&u64::try_from(n).unwrap_or(u64::MAX).to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn list(&mut self, values: &[Val]) -> Result<(), Unfit> {
        self.count(values.len());
        values.iter().try_for_each(|value| self.value(value))
    }

    fn tagged_list(&mut self, tag: u8, values: &[Val]) -> Result<(), Unfit> {
        self.bytes.push(tag);
        self.list(values)
    }

    fn names(&mut self, tag: u8, names: &[String]) {
        self.bytes.push(tag);
        self.count(names.len());
        names.iter().for_each(|name| self.text(name));
    }

    fn optional(&mut self, value: Option<&Val>) -> Result<(), Unfit> {
        match value {
            None => self.bytes.push(tag::NONE),
            Some(value) => {
                self.bytes.push(tag::SOME);
                self.value(value)?;
            }
        }
        Ok(())
    }

    fn value(&mut self, value: &Val) -> Result<(), Unfit> {
        match value {
            Val::Bool(flag) => self.bytes.push(if *flag { tag::TRUE } else { tag::FALSE }),
            Val::S8(n) => self.tagged(tag::S8, &n.to_le_bytes()),
            Val::U8(n) => self.tagged(tag::U8, &n.to_le_bytes()),
            Val::S16(n) => self.tagged(tag::S16, &n.to_le_bytes()),
            Val::U16(n) => self.tagged(tag::U16, &n.to_le_bytes()),
            Val::S32(n) => self.tagged(tag::S32, &n.to_le_bytes()),
            Val::U32(n) => self.tagged(tag::U32, &n.to_le_bytes()),
            Val::S64(n) => self.tagged(tag::S64, &n.to_le_bytes()),
            Val::U64(n) => self.tagged(tag::U64, &n.to_le_bytes()),
            Val::Float32(n) => self.tagged(tag::F32, &n.to_bits().to_le_bytes()),
            Val::Float64(n) => self.tagged(tag::F64, &n.to_bits().to_le_bytes()),
            Val::Char(c) => self.tagged(tag::CHAR, &u32::from(*c).to_le_bytes()),
            Val::String(text) => {
                self.bytes.push(tag::TEXT);
                self.text(text);
            }
            Val::List(items) => match bytes_of(items) {
                Some(bytes) => {
                    self.bytes.push(tag::BYTES);
                    self.count(bytes.len());
                    self.bytes.extend(bytes);
                }
                None => self.tagged_list(tag::LIST, items)?,
            },
            Val::FixedLengthList(items) => self.tagged_list(tag::FIXED_LIST, items)?,
            Val::Tuple(items) => self.tagged_list(tag::TUPLE, items)?,
            Val::Map(entries) => {
                self.bytes.push(tag::MAP);
                self.count(entries.len());
                entries.iter().try_for_each(|(key, value)| self.value(key).and_then(|()| self.value(value)))?;
            }
            Val::Record(fields) => {
                self.bytes.push(tag::RECORD);
                self.count(fields.len());
                for (name, value) in fields {
                    self.text(name);
                    self.value(value)?;
                }
            }
            Val::Variant(case, payload) => {
                self.bytes.push(tag::VARIANT);
                self.text(case);
                self.optional(payload.as_deref())?;
            }
            Val::Enum(case) => {
                self.bytes.push(tag::ENUM);
                self.text(case);
            }
            Val::Option(value) => self.optional(value.as_deref())?,
            Val::Result(Ok(value)) => {
                self.bytes.push(tag::OK);
                self.optional(value.as_deref())?;
            }
            Val::Result(Err(value)) => {
                self.bytes.push(tag::ERR);
                self.optional(value.as_deref())?;
            }
            Val::Flags(names) => self.names(tag::FLAGS, names),
            Val::Resource(_) | Val::Future(_) | Val::Stream(_) | Val::ErrorContext(_) => return Err(Unfit::Bound),
        }
        Ok(())
    }

    fn json(&mut self, json: &Json) {
        match json {
            Json::Null => self.bytes.push(tag::NULL),
            Json::Bool(flag) => self.bytes.push(if *flag { tag::TRUE } else { tag::FALSE }),
            Json::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(n), _, _) => self.tagged(tag::U64, &n.to_le_bytes()),
                (None, Some(n), _) => self.tagged(tag::S64, &n.to_le_bytes()),
                (None, None, n) => self.tagged(tag::F64, &n.unwrap_or_default().to_bits().to_le_bytes()),
            },
            Json::String(text) => {
                self.bytes.push(tag::TEXT);
                self.text(text);
            }
            Json::Array(items) => {
                self.bytes.push(tag::LIST);
                self.count(items.len());
                items.iter().for_each(|item| self.json(item));
            }
            Json::Object(entries) => {
                self.bytes.push(tag::RECORD);
                self.count(entries.len());
                for (name, value) in entries {
                    self.text(name);
                    self.json(value);
                }
            }
        }
    }
}

/// The bytes of a list of bytes that is not empty.
fn bytes_of(items: &[Val]) -> Option<Vec<u8>> {
    let byte = |item: &Val| if let Val::U8(byte) = item { Some(*byte) } else { None };
    if items.is_empty() { None } else { items.iter().map(byte).collect() }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn end(&self) -> Result<(), Unfit> {
        if self.rest.is_empty() { Ok(()) } else { Err(Unfit::Malformed) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unfit> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Unfit::Malformed)?;
        self.rest = rest;
        Ok(*array)
    }

    fn tag(&mut self) -> Result<u8, Unfit> {
        self.array::<1>().map(|[tag]| tag)
    }

    /// How many things follow. Each has a byte at least, so no more is ever reserved than there are bytes.
    fn count(&mut self) -> Result<usize, Unfit> {
        let n = usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX);
        if n <= self.rest.len() { Ok(n) } else { Err(Unfit::Malformed) }
    }

    fn bytes(&mut self) -> Result<&'b [u8], Unfit> {
        let n_bytes = self.count()?;
        let (bytes, rest) = self.rest.split_at(n_bytes);
        self.rest = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Unfit> {
        String::from_utf8(self.bytes()?.to_vec()).ok().ok_or(Unfit::Malformed)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Val>, Unfit> {
        (0..self.count()?).map(|_| self.value(depth)).collect()
    }

    fn optional(&mut self, depth: usize) -> Result<Option<Box<Val>>, Unfit> {
        match self.tag()? {
            tag::NONE => Ok(None),
            tag::SOME => Ok(Some(Box::new(self.value(depth)?))),
            _ => Err(Unfit::Malformed),
        }
    }

    fn value(&mut self, depth: usize) -> Result<Val, Unfit> {
        let depth = depth.checked_sub(1).ok_or(Unfit::Malformed)?;
        Ok(match self.tag()? {
            tag::FALSE => Val::Bool(false),
            tag::TRUE => Val::Bool(true),
            tag::S8 => Val::S8(i8::from_le_bytes(self.array()?)),
            tag::U8 => Val::U8(u8::from_le_bytes(self.array()?)),
            tag::S16 => Val::S16(i16::from_le_bytes(self.array()?)),
            tag::U16 => Val::U16(u16::from_le_bytes(self.array()?)),
            tag::S32 => Val::S32(i32::from_le_bytes(self.array()?)),
            tag::U32 => Val::U32(u32::from_le_bytes(self.array()?)),
            tag::S64 => Val::S64(i64::from_le_bytes(self.array()?)),
            tag::U64 => Val::U64(u64::from_le_bytes(self.array()?)),
            tag::F32 => Val::Float32(f32::from_bits(u32::from_le_bytes(self.array()?))),
            tag::F64 => Val::Float64(f64::from_bits(u64::from_le_bytes(self.array()?))),
            tag::CHAR => Val::Char(char::from_u32(u32::from_le_bytes(self.array()?)).ok_or(Unfit::Malformed)?),
            tag::TEXT => Val::String(self.text()?),
            tag::BYTES => Val::List(self.bytes()?.iter().map(|byte| Val::U8(*byte)).collect()),
            tag::LIST => Val::List(self.list(depth)?),
            tag::FIXED_LIST => Val::FixedLengthList(self.list(depth)?),
            tag::TUPLE => Val::Tuple(self.list(depth)?),
            tag::MAP => {
                let entry = |reader: &mut Self| Ok((reader.value(depth)?, reader.value(depth)?));
                Val::Map((0..self.count()?).map(|_| entry(self)).collect::<Result<_, _>>()?)
            }
            tag::RECORD => {
                let field = |reader: &mut Self| Ok((reader.text()?, reader.value(depth)?));
                Val::Record((0..self.count()?).map(|_| field(self)).collect::<Result<_, _>>()?)
            }
            tag::VARIANT => Val::Variant(self.text()?, self.optional(depth)?),
            tag::ENUM => Val::Enum(self.text()?),
            tag::NONE => Val::Option(None),
            tag::SOME => Val::Option(Some(Box::new(self.value(depth)?))),
            tag::OK => Val::Result(Ok(self.optional(depth)?)),
            tag::ERR => Val::Result(Err(self.optional(depth)?)),
            tag::FLAGS => Val::Flags((0..self.count()?).map(|_| self.text()).collect::<Result<_, _>>()?),
            _ => return Err(Unfit::Malformed),
        })
    }

    fn json(&mut self, depth: usize) -> Result<Json, Unfit> {
        let depth = depth.checked_sub(1).ok_or(Unfit::Malformed)?;
        Ok(match self.tag()? {
            tag::NULL => Json::Null,
            tag::FALSE => Json::Bool(false),
            tag::TRUE => Json::Bool(true),
            tag::U64 => Json::from(u64::from_le_bytes(self.array()?)),
            tag::S64 => Json::from(i64::from_le_bytes(self.array()?)),
            tag::F64 => {
                let number = Number::from_f64(f64::from_bits(u64::from_le_bytes(self.array()?)));
                Json::Number(number.ok_or(Unfit::Malformed)?)
            }
            tag::TEXT => Json::String(self.text()?),
            tag::LIST => Json::Array((0..self.count()?).map(|_| self.json(depth)).collect::<Result<_, _>>()?),
            tag::RECORD => {
                let entry = |reader: &mut Self| Ok((reader.text()?, reader.json(depth)?));
                Json::Object((0..self.count()?).map(|_| entry(self)).collect::<Result<_, _>>()?)
            }
            _ => return Err(Unfit::Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(value: Val) -> Option<Box<Val>> {
        Some(Box::new(value))
    }

    fn all() -> Vec<Val> {
        vec![
            Val::Bool(true),
            Val::S8(-1),
            Val::U16(65_535),
            Val::S64(i64::MIN),
            Val::U64(u64::MAX),
            Val::Float32(f32::MIN_POSITIVE),
            Val::Float64(0.1 + 0.2),
            Val::Char('ü'),
            Val::String("a\0b".to_owned()),
            Val::List((0..=255).map(Val::U8).collect()),
            Val::List(Vec::new()),
            Val::FixedLengthList(vec![Val::U8(1)]),
            Val::Tuple(vec![Val::S16(-2), Val::U32(7)]),
            Val::Map(vec![(Val::String("k".to_owned()), Val::S32(-3))]),
            Val::Record(vec![("f".to_owned(), Val::Option(some(Val::Bool(false))))]),
            Val::Variant("case".to_owned(), some(Val::Option(None))),
            Val::Variant("bare".to_owned(), None),
            Val::Enum("e".to_owned()),
            Val::Result(Ok(None)),
            Val::Result(Err(some(Val::String("why".to_owned())))),
            Val::Flags(vec!["a".to_owned(), "b".to_owned()]),
        ]
    }

    #[test]
    fn every_value_comes_back() {
        let bytes = write_values(&all()).unwrap();
        assert_eq!(read_values(&bytes).unwrap(), all());
        let json = serde_json::json!({
            "z": [null, true, 0.1 + 0.2, 1e300, -1, u64::MAX, i64::MIN],
            "a": { "text": "\u{1}ü" },
        });
        let read = read_json(&write_json(&json)).unwrap();
        assert_eq!(read.to_string(), json.to_string());
    }

    #[test]
    fn what_is_cut_or_changed_is_no_value_and_costs_nothing() {
        let bytes = write_values(&all()).unwrap();
        for end in 0..bytes.len() {
            assert_eq!(read_values(&bytes[..end]), Err(Unfit::Malformed), "cut at {end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            drop(read_values(&changed));
        }
        let mut deep = 1_u64.to_le_bytes().to_vec();
        deep.extend(std::iter::repeat_n(tag::SOME, 1_000_000));
        assert_eq!(read_values(&deep), Err(Unfit::Malformed));
    }
}
