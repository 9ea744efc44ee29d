//! The rows of code that came into force.

use clockjack_schedule::ports::{GenerationRow, Left};

use super::value::{Fields, Undecodable, Value, seal};

/// Adds the row of a generation.
pub(crate) fn generation_values(values: &mut Vec<Value>, row: &GenerationRow) {
    let start = values.len();
    let left = row.left.as_ref();
    values.extend([
        (&row.plugin).into(),
        row.number.into(),
        (&*row.digest).into(),
        row.n_bytes.into(),
        (&*row.source).into(),
        row.since.into(),
        (&*row.cause).into(),
        row.approved.into(),
        row.unproven.into(),
        left.map(|left| left.at).into(),
        left.map(|left| &*left.because).into(),
    ]);
    seal(values, start);
}

/// Reads what [`generation_values`] wrote.
pub(crate) fn read_generation(values: Vec<Value>) -> Result<GenerationRow, Undecodable> {
    let mut fields = Fields::sealed(values)?;
    Ok(GenerationRow {
        plugin: fields.plugin_name()?,
        number: fields.u32()?,
        digest: fields.text()?.into(),
        n_bytes: fields.u64()?,
        source: fields.text()?.into(),
        since: fields.at()?,
        cause: fields.text()?.into(),
        approved: fields.bool()?,
        unproven: fields.bool()?,
        left: match (fields.maybe_at()?, fields.maybe_text()?) {
            (Some(at), Some(because)) => Some(Left { at, because: because.into() }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => {
                return Err(Undecodable("half of it is said of how a generation was taken back".into()));
            }
        },
    })
}
