//! The parts that cron strings and field maps share: fields with their ranges, numbers, sets of values.

use super::{
    days::bits_of,
    fault::{Fault, shown},
    words::{self, MONTHS, Spelling, WEEKDAYS},
};

/// Most items in a list that cannot become a bit mask: lists of years.
pub(crate) const YEAR_ITEMS_MAX: usize = 128;

/// One field of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Year,
    Month,
    Day,
    Week,
    Weekday,
    Hour,
    Minute,
    Second,
}

impl Field {
    /// The field in words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day of the month",
            Self::Week => "week",
            Self::Weekday => "day of the week",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        }
    }

    /// Lowest and highest value.
    pub(crate) fn range(self) -> (u32, u32) {
        match self {
            Self::Year => (1970, 9999),
            Self::Month => (1, 12),
            Self::Day => (1, 31),
            Self::Week => (1, 53),
            Self::Weekday => (0, 6),
            Self::Hour => (0, 23),
            Self::Minute | Self::Second => (0, 59),
        }
    }

    /// The number of a name; weekdays count from Monday.
    pub(crate) fn named(self, word: &str, spelling: Spelling) -> Option<u32> {
        match self {
            Self::Month => words::position(word, &MONTHS, spelling).map(|month| month + 1),
            Self::Weekday => words::position(word, &WEEKDAYS, spelling),
            Self::Year | Self::Day | Self::Week | Self::Hour | Self::Minute | Self::Second => None,
        }
    }

    /// A value as it is best written: names where there are names.
    pub(crate) fn value_name(self, value: u32) -> String {
        let names: &[&str] = match self {
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
            Self::Year | Self::Day | Self::Week | Self::Hour | Self::Minute | Self::Second => &[],
        };
        let index = usize::try_from(value - self.range().0).unwrap_or(usize::MAX);
        names.get(index).map_or_else(|| value.to_string(), |name| name[..3].to_lowercase())
    }

    /// What may stand in the field, for a fix.
    pub(crate) fn expected(self) -> String {
        let (low, high) = self.range();
        match self {
            Self::Month => format!("{low} to {high} or a name: {}", words::short_names(&MONTHS)),
            Self::Weekday => format!("a number or a name: {}", words::short_names(&WEEKDAYS)),
            Self::Year | Self::Day | Self::Week | Self::Hour | Self::Minute | Self::Second => {
                format!("{low} to {high}")
            }
        }
    }
}

/// A piece of a text that remembers its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece<'t> {
    pub(crate) text: &'t str,
    pub(crate) start: usize,
}

impl<'t> Piece<'t> {
    pub(crate) fn end(self) -> usize {
        self.start + self.text.len()
    }

    pub(crate) fn fault(self, message: impl Into<String>) -> Fault {
        Fault::new(self.start, self.end(), message)
    }

    /// What comes before and after the first separator.
    pub(crate) fn split_once(self, separator: char) -> (Self, Option<Self>) {
        match self.text.split_once(separator) {
            None => (self, None),
            Some((before, after)) => {
                let start = self.start + before.len() + separator.len_utf8();
                (Self { text: before, ..self }, Some(Self { text: after, start }))
            }
        }
    }

    /// The items between separators.
    pub(crate) fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut rest = Some(self);
        std::iter::from_fn(move || {
            let (item, after) = rest?.split_once(separator);
            rest = after;
            Some(item)
        })
    }

    /// The words between white space.
    pub(crate) fn words(self) -> impl Iterator<Item = Self> {
        self.text.split_ascii_whitespace().map(move |word| {
            let offset = word.as_ptr().addr() - self.text.as_ptr().addr();
            Self { text: word, start: self.start + offset }
        })
    }

    /// The first character that is not ASCII: digits of other scripts look right and are not.
    pub(crate) fn non_ascii(self) -> Option<Fault> {
        let (at, found) = self.text.char_indices().find(|(_, c)| !c.is_ascii())?;
        let message = format!("`{}` (U+{:04X}) may not stand in a trigger", found.escape_debug(), u32::from(found));
        let start = self.start + at;
        Some(Fault::new(start, start + found.len_utf8(), message).fix("write plain ASCII digits, letters and `*/,-`"))
    }

    /// A number of ASCII digits.
    pub(crate) fn number(self) -> Option<u32> {
        let digits = !self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| self.text.parse().unwrap_or(u32::MAX))
    }
}

/// A fault about a word that is no value of its field.
pub(crate) fn not_a_value(piece: Piece<'_>, field: Field) -> Fault {
    let message = if piece.text.is_empty() {
        format!("a value is missing for the {}", field.name())
    } else if piece.number().is_some() {
        let (low, high) = field.range();
        format!("{} is out of range for the {}: {low} to {high}", shown(piece.text), field.name())
    } else {
        let article = if field == Field::Hour { "an" } else { "a" };
        format!("`{}` is not {article} {}", shown(piece.text), field.name())
    };
    piece.fault(message).fix(format!("write {}", field.expected()))
}

/// A fault about a step that leaves one value of its range, or none.
pub(crate) fn bad_step(piece: Piece<'_>, widest: u32, field: Field) -> Fault {
    let message = match piece.number() {
        None => format!("`{}` is not a step", shown(piece.text)),
        Some(0) => "a step of 0 goes nowhere".to_owned(),
        Some(step) => format!("the step {step} is larger than its range of {widest}"),
    };
    let fix = match field {
        Field::Minute if piece.number() == Some(60) => "write `0` for once an hour".to_owned(),
        Field::Hour if piece.number() == Some(24) => "write `0` for once a day".to_owned(),
        Field::Second if piece.number() == Some(60) => "write `0` for once a minute".to_owned(),
        Field::Weekday if piece.number() == Some(7) => "write one weekday, such as `mon`".to_owned(),
        _ if widest == 0 => "write the one value".to_owned(),
        _ => format!("write 1 to {widest}, or use `every:` for periods that do not divide the field"),
    };
    piece.fault(message).fix(fix)
}

/// The values of a field as they are collected: bits for all but years.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) mask: u64,
    /// First, last, step.
    pub(crate) years: Vec<(u32, u32, u32)>,
}

impl Values {
    /// Adds `first` to `last` in steps.
    pub(crate) fn add(&mut self, field: Field, first: u32, last: u32, step: u32) {
        if field == Field::Year {
            self.years.push((first, last, step));
            return;
        }
        let mut value = first;
        while value <= last {
            self.mask |= 1 << value;
            value += step;
        }
    }

    /// Whether one of the values is missing.
    pub(crate) fn is_full(&self, field: Field) -> bool {
        let (low, high) = field.range();
        match field {
            Field::Year => self.years.contains(&(low, high, 1)),
            Field::Month | Field::Day | Field::Week | Field::Weekday | Field::Hour | Field::Minute | Field::Second => {
                bits_of(self.mask).eq(low..=high)
            }
        }
    }
}
