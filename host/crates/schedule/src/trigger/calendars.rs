//! Named calendars of the manifest, and the `except:` key: what is written there, read into sets.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    except::Except,
    fault::{Fault, shown},
    instant::{Written, parse_date},
    read::{Reader, TriggerContext},
    rule::{Rule, Trigger},
};
use crate::{
    diagnostic::{Diagnostic, Diagnostics, did_you_mean},
    manifest::node::{Node, Value},
};

/// Saturday and Sunday.
const WEEKENDS: u8 = 0b110_0000;

/// Monday to Friday.
const WEEKDAYS: u8 = 0b001_1111;

/// The named calendars of a manifest: each a list of what `except` may hold.
///
/// ```yaml
/// calendars:
///   holidays: [2026-12-25, 2026-12-26, 2026-12-31..2027-01-01]
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calendars {
    named: BTreeMap<String, Arc<Except>>,
}

impl Calendars {
    /// No calendars.
    pub const NONE: Self = Self { named: BTreeMap::new() };

    /// Reads the map of calendars. Later ones may name earlier ones. The `calendars` of `context` count as earlier
    /// ones, so that several files can add theirs.
    pub fn read(node: &Node, context: TriggerContext<'_>, diagnostics: &mut Diagnostics) -> Option<Self> {
        let Some(entries) = node.as_map() else {
            let message = format!("`calendars` is a map of names and lists, not {}", node.kind());
            return diagnostics.reject(Diagnostic::error("manifest.type", node.span, message));
        };
        let mut calendars = context.calendars.clone();
        let mut complete = true;
        for entry in entries {
            let context = TriggerContext { calendars: &calendars, ..context };
            let read = read_except(&mut Reader::new(context, diagnostics), &entry.value);
            if entry.key == "weekends" || entry.key == "weekdays" || parse_date(&entry.key).is_ok() {
                let message = format!("a calendar may not be called `{}`, which has a meaning already", entry.key);
                diagnostics.push(Diagnostic::error("trigger.value", entry.key_span, message));
                complete = false;
            }
            match read {
                Some(except) => {
                    calendars.named.insert(entry.key.clone(), Arc::new(except));
                }
                None => complete = false,
            }
        }
        complete.then_some(calendars)
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.keys().map(String::as_str)
    }
}

/// Reads the value of `except:`, or of one calendar.
pub(crate) fn read_except(reader: &mut Reader<'_>, node: &Node) -> Option<Except> {
    let mut except = Except::default();
    let n_errors = reader.diagnostics.n_errors();
    for item in node.as_one_or_many() {
        match &item.value {
            Value::Text(text) => {
                if let Err(fault) = add_text(reader, text, &mut except) {
                    reader.diagnostics.push(fault.on("trigger.syntax", item));
                }
            }
            Value::Map(_) => except.triggers.extend(reader.trigger(item)),
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::List(_) => {
                let message = format!("expected a date, a name or a trigger, found {}", item.kind());
                let fix = "write dates such as 2026-12-24, ranges such as 2026-12-24..2027-01-01, `weekends`, the \
                           name of a calendar, or a trigger";
                reader.diagnostics.push(Diagnostic::error("trigger.value", item.span, message).fix(fix));
            }
        }
    }
    except.sort();
    (n_errors == reader.diagnostics.n_errors()).then_some(except)
}

fn add_text(reader: &Reader<'_>, text: &str, except: &mut Except) -> Result<(), Fault> {
    match text {
        "weekends" => except.weekdays |= WEEKENDS,
        "weekdays" => except.weekdays |= WEEKDAYS,
        _ if text.starts_with(|c: char| c.is_ascii_digit()) => return add_date(reader, text, except),
        _ => match reader.context.calendars.named.get(text) {
            Some(calendar) => except.add(calendar),
            None => return Err(unknown(reader, text)),
        },
    }
    Ok(())
}

fn unknown(reader: &Reader<'_>, text: &str) -> Fault {
    let fault = Fault::new(0, text.len(), format!("there is no calendar `{}`", shown(text)));
    let known: Vec<&str> = reader.context.calendars.names().chain(["weekends", "weekdays"]).collect();
    fault.fix(match did_you_mean(&shown(text), known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}; dates are written 2026-12-24", known.join(", ")),
    })
}

/// A date, a range of dates, or one instant.
fn add_date(reader: &Reader<'_>, text: &str, except: &mut Except) -> Result<(), Fault> {
    let day = |text: &str| parse_date(text).map(|date| i64::from(date.to_epoch_days()));
    if let Some((first, last)) = text.split_once("..") {
        let (first_day, last_day) = (day(first)?, day(last).map_err(|fault| fault.after(first.len() + 2))?);
        if last_day < first_day {
            return Err(Fault::new(0, text.len(), "the range of dates runs backwards").fix("write the earlier first"));
        }
        except.dates.push((first_day, last_day));
        return Ok(());
    }
    let written = Written::parse(text)?;
    if written.time.is_none() {
        let day = i64::from(written.date.to_epoch_days());
        except.dates.push((day, day));
        return Ok(());
    }
    let instants = written.instants(&reader.zone, super::dst::Dst::ELAPSED, reader.context.zones)?;
    except.triggers.push(Trigger {
        rule: Rule::At(instants.into()),
        start: i64::MIN,
        end: i64::MAX,
        except: None,
        jitter: None,
        zone: reader.zone.clone(),
        n_leaves: 1,
    });
    Ok(())
}
