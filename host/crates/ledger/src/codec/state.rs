//! The rows of what jobs remember.

use clockjack_schedule::{
    id::JobId,
    state::{Entry, StateWrite},
};

use super::value::{Fields, Undecodable, Value, seal};

/// Adds the row of a key to those that are written, or its key to those that go.
pub(crate) fn state_values(put: &mut Vec<Value>, gone: &mut Vec<Value>, job: &JobId, write: &StateWrite) {
    let key = [Value::from(job), Value::from(write.key.as_str())];
    match &write.value {
        Some(value) => {
            let start = put.len();
            put.extend(key);
            put.extend([Value::from(write.version), Value::Blob(value.to_vec())]);
            seal(put, start);
        }
        None => gone.extend(key),
    }
}

/// Reads what [`state_values`] wrote.
pub(crate) fn read_state(values: Vec<Value>) -> Result<(String, Entry), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    fields.text()?;
    let (key, version) = (fields.text()?, fields.u64()?);
    Ok((key, Entry { version, value: fields.blob()?.into() }))
}

/// Adds the row with the greatest version that was ever kept for a job.
pub(crate) fn state_version_values(values: &mut Vec<Value>, job: &JobId, version: u64) {
    let start = values.len();
    values.extend([Value::from(job), Value::from(version)]);
    seal(values, start);
}

/// Reads what [`state_version_values`] wrote.
pub(crate) fn read_state_version(values: Vec<Value>) -> Result<(JobId, u64), Undecodable> {
    let mut fields = Fields::sealed(values)?;
    Ok((fields.job_id()?, fields.u64()?))
}
