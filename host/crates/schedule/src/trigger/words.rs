//! The names of months and weekdays, as they are read and as they are told.

/// January to December.
pub(crate) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Monday to Sunday.
pub(crate) const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Which of two spellings of a name is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// Three letters or the full name.
    ShortOrFull,
    /// Three letters.
    Short,
}

/// The place of a name in a list, in any case.
pub(crate) fn position(word: &str, names: &[&str], spelling: Spelling) -> Option<u32> {
    let fits = |name: &&str| {
        let full = spelling == Spelling::ShortOrFull && word.eq_ignore_ascii_case(name);
        full || word.eq_ignore_ascii_case(&name[..3])
    };
    names.iter().position(fits).and_then(|index| u32::try_from(index).ok())
}

/// The first letters of each name: `mon, tue, …`.
pub(crate) fn short_names(names: &[&str]) -> String {
    names.iter().map(|name| name[..3].to_lowercase()).collect::<Vec<_>>().join(", ")
}
