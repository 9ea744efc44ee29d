//! The values that columns hold, their checksum, and how a row is read.

use chrono::{DateTime, Utc};
use clockjack_schedule::id::{JobId, PluginName, RunId};

/// What one column of one row holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A BIGINT.
    Int(i64),
    /// A TEXT.
    Text(String),
    /// A BLOB.
    Blob(Vec<u8>),
}

/// A row that makes no sense.
#[derive(Debug)]
pub(crate) struct Undecodable(pub(crate) String);

impl Undecodable {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<u64> for Value {
    /// The same 64 bits: databases have no unsigned numbers.
    fn from(number: u64) -> Self {
        Self::Int(number.cast_signed())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Int(i64::from(number))
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Self::Int(i64::from(is_so))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<DateTime<Utc>> for Value {
    fn from(at: DateTime<Utc>) -> Self {
        Self::Int(micros(at))
    }
}

impl From<RunId> for Value {
    fn from(id: RunId) -> Self {
        Self::Blob(blob_of(id))
    }
}

impl From<&JobId> for Value {
    fn from(job: &JobId) -> Self {
        Self::Text(job.as_str().to_owned())
    }
}

impl From<&PluginName> for Value {
    fn from(plugin: &PluginName) -> Self {
        Self::Text(plugin.as_str().to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// An instant as it is stored.
pub(crate) fn micros(at: DateTime<Utc>) -> i64 {
    at.timestamp_micros()
}

/// A run id as it is stored: big-endian, so that the order of ids is the order of blobs.
fn blob_of(id: RunId) -> Vec<u8> {
    id.as_u128().to_be_bytes().to_vec()
}

/// Ends a row that begins at `start` with the checksum of its columns.
pub(super) fn seal(values: &mut Vec<Value>, start: usize) {
    let sum = checksum(&values[start..]);
    values.push(Value::Int(sum));
}

/// A sum that differs whenever one column differs. It guards against broken disks, not against people.
pub(super) fn checksum(values: &[Value]) -> i64 {
    let mut sum = Sum(0x9e37_79b9_7f4a_7c15);
    for value in values {
        match value {
            Value::Null => sum.add(1),
            Value::Int(number) => {
                sum.add(2);
                sum.add(number.cast_unsigned());
            }
            Value::Text(text) => sum.add_bytes(3, text.as_bytes()),
            Value::Blob(bytes) => sum.add_bytes(4, bytes),
        }
    }
    sum.0.cast_signed()
}

/// Each step is a bijection of the sum and of the word, so a change of one word always shows.
struct Sum(u64);

impl Sum {
    fn add(&mut self, word: u64) {
        let mixed = (self.0 ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.0 = mixed ^ (mixed >> 32);
    }

    fn add_bytes(&mut self, kind: u64, bytes: &[u8]) {
        self.add(kind);
        self.add(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.add(u64::from_le_bytes(word));
        }
    }
}

/// The columns of a row that was read, taken one after the other.
pub(crate) struct Fields {
    values: std::vec::IntoIter<Value>,
}

impl Fields {
    /// A row without a checksum.
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self { values: values.into_iter() }
    }

    /// A row whose last column is the checksum of the others.
    pub(crate) fn sealed(mut values: Vec<Value>) -> Result<Self, Undecodable> {
        let kept = values.pop();
        if kept != Some(Value::Int(checksum(&values))) {
            return Err(Undecodable::new("the checksum of a row does not fit its columns"));
        }
        Ok(Self::new(values))
    }

    fn next(&mut self) -> Result<Value, Undecodable> {
        self.values.next().ok_or_else(|| Undecodable::new("a row has too few columns"))
    }

    pub(crate) fn int(&mut self) -> Result<i64, Undecodable> {
        match self.next()? {
            Value::Int(number) => Ok(number),
            other @ (Value::Null | Value::Text(_) | Value::Blob(_)) => Err(misfit("a number", &other)),
        }
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, Undecodable> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Int(number) => Ok(Some(number)),
            other @ (Value::Text(_) | Value::Blob(_)) => Err(misfit("a number", &other)),
        }
    }

    pub(super) fn u64(&mut self) -> Result<u64, Undecodable> {
        self.int().map(i64::cast_unsigned)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Undecodable> {
        let number = self.int()?;
        u32::try_from(number).map_err(|error| Undecodable::new(format!("{number}: {error}")))
    }

    pub(super) fn bool(&mut self) -> Result<bool, Undecodable> {
        match self.int()? {
            0 => Ok(false),
            1 => Ok(true),
            number => Err(Undecodable::new(format!("{number} is neither yes nor no"))),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, Undecodable> {
        match self.next()? {
            Value::Text(text) => Ok(text),
            other @ (Value::Null | Value::Int(_) | Value::Blob(_)) => Err(misfit("a text", &other)),
        }
    }

    pub(super) fn maybe_text(&mut self) -> Result<Option<String>, Undecodable> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other @ (Value::Int(_) | Value::Blob(_)) => Err(misfit("a text", &other)),
        }
    }

    pub(super) fn maybe_blob(&mut self) -> Result<Option<Vec<u8>>, Undecodable> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::Blob(bytes) => Ok(Some(bytes)),
            other @ (Value::Int(_) | Value::Text(_)) => Err(misfit("bytes", &other)),
        }
    }

    pub(super) fn blob(&mut self) -> Result<Vec<u8>, Undecodable> {
        self.maybe_blob()?.ok_or_else(|| Undecodable::new("a value is missing"))
    }

    pub(crate) fn run_id(&mut self) -> Result<RunId, Undecodable> {
        self.maybe_run_id()?.ok_or_else(|| Undecodable::new("a run has no id"))
    }

    pub(crate) fn maybe_run_id(&mut self) -> Result<Option<RunId>, Undecodable> {
        let Some(bytes) = self.maybe_blob()?.filter(|bytes| !bytes.is_empty()) else { return Ok(None) };
        let bytes: [u8; 16] = bytes
            .try_into()
            .map_err(|bytes: Vec<u8>| Undecodable::new(format!("a run id of {} bytes", bytes.len())))?;
        Ok(Some(RunId::from_u128(u128::from_be_bytes(bytes))))
    }

    pub(crate) fn job_id(&mut self) -> Result<JobId, Undecodable> {
        let text = self.text()?;
        text.parse().map_err(|error| Undecodable::new(format!("`{text}` is no job: {error}")))
    }

    pub(super) fn plugin_name(&mut self) -> Result<PluginName, Undecodable> {
        let text = self.text()?;
        text.parse().map_err(|error| Undecodable::new(format!("`{text}` is no plugin: {error}")))
    }

    pub(super) fn at(&mut self) -> Result<DateTime<Utc>, Undecodable> {
        let micros = self.int()?;
        instant(micros)
    }

    pub(super) fn maybe_at(&mut self) -> Result<Option<DateTime<Utc>>, Undecodable> {
        self.maybe_int()?.map(instant).transpose()
    }
}

fn instant(micros: i64) -> Result<DateTime<Utc>, Undecodable> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| Undecodable::new(format!("{micros} is no instant")))
}

fn misfit(wanted: &str, found: &Value) -> Undecodable {
    let found = match found {
        Value::Null => "nothing",
        Value::Int(_) => "a number",
        Value::Text(_) => "a text",
        Value::Blob(_) => "bytes",
    };
    Undecodable(format!("{wanted} was expected, and {found} found"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_one_byte_shows_in_the_checksum() {
        let row = [Value::Int(7), Value::Text("morning-report".into()), Value::Null, Value::Blob(vec![0; 16])];
        let sum = checksum(&row);
        for bit in 0..64 {
            let mut changed = row.clone();
            changed[0] = Value::Int(7 ^ (1 << bit));
            assert_ne!(checksum(&changed), sum);
        }
        for index in 0..16 {
            for byte in 1..=255 {
                let mut changed = row.clone();
                let mut bytes = vec![0; 16];
                bytes[index] = byte;
                changed[3] = Value::Blob(bytes);
                assert_ne!(checksum(&changed), sum);
            }
        }
        assert_ne!(
            checksum(&[Value::Text("a".into()), Value::Text("b".into())]),
            checksum(&[Value::Text("ab".into())])
        );
    }
}
