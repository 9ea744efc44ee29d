//! Compiled code with what the host has to know of the file: as one piece of bytes, in which it comes from a child and lies
//! in the cache.

use crate::plugin::Form;

/// Most sections of docs, and the most that they may have together: what `docs` collects from one file.
const SECTIONS_MAX: usize = 16;

/// How much the compiler tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Fast code.
    Full,
    /// Code soon.
    Least,
}

/// A file that was compiled.
#[derive(Debug)]
pub(crate) struct Compiled {
    form: Form,
    effort: Effort,
    docs: Vec<Vec<u8>>,
    bytes: Vec<u8>,
    code_starts: usize,
}

impl Compiled {
    pub(crate) fn new(form: Form, effort: Effort, docs: &[Vec<u8>], code: &[u8]) -> Option<Self> {
        let form = match form {
            Form::Component => 0,
            Form::Adapted => 1,
            Form::Program => 2,
        };
        let effort = u8::from(effort == Effort::Least);
        let mut bytes = vec![form, effort, u8::try_from(docs.len()).ok()?];
        for section in docs {
            bytes.extend_from_slice(&u32::try_from(section.len()).ok()?.to_le_bytes());
            bytes.extend_from_slice(section);
        }
        bytes.extend_from_slice(code);
        Self::from_bytes(bytes)
    }

    /// Reads what `bytes` gave.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        let (head, mut rest) = bytes.split_first_chunk::<3>()?;
        let form = match head[0] {
            0 => Form::Component,
            1 => Form::Adapted,
            2 => Form::Program,
            _ => return None,
        };
        let effort = match head[1] {
            0 => Effort::Full,
            1 => Effort::Least,
            _ => return None,
        };
        let n_sections = usize::from(head[2]);
        if SECTIONS_MAX < n_sections {
            return None;
        }
        let mut docs = Vec::new();
        for _ in 0..n_sections {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (section, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
            docs.push(section.to_vec());
            rest = after;
        }
        let code_starts = bytes.len() - rest.len();
        Some(Self { form, effort, docs, bytes, code_starts })
    }

    /// All of it as one piece.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn form(&self) -> Form {
        self.form
    }

    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }

    /// Sections with docs, as they stand in the file.
    pub(crate) fn docs(&self) -> &[Vec<u8>] {
        &self.docs
    }

    /// The code, as the engine wrote it.
    pub(crate) fn code(&self) -> &[u8] {
        &self.bytes[self.code_starts..]
    }
}
