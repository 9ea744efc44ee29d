//! What a channel tells of.

use std::{num::NonZeroU32, time::Duration};

/// How late a first attempt begins that `late` means without a time of its own.
pub(crate) const LATE: Duration = Duration::from_secs(60);

/// After how much of its timeout an attempt goes on too long, where no time is written.
pub const TOO_LONG_PERCENT: u32 = 80;

/// What is told of. The words are a contract: they stand in the manifest, and in what is sent as `run.failure`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Occasion {
    /// An attempt of a run begins; only its first one counts.
    Start,
    /// A run was a success.
    Success,
    /// A run failed.
    Failure,
    /// A run was a success after one that failed.
    Recovery,
    /// A slot became no run although it should have: too late, or too many others waited.
    Missed,
    /// A run began late.
    Late,
    /// A run goes on for long.
    TooLong,
    /// Somebody cancelled a run.
    Cancelled,
}

impl Occasion {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Start,
        Self::Success,
        Self::Failure,
        Self::Recovery,
        Self::Missed,
        Self::Late,
        Self::TooLong,
        Self::Cancelled,
    ];

    /// The word in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Recovery => "recovery",
            Self::Missed => "missed",
            Self::Late => "late",
            Self::TooLong => "too_long",
            Self::Cancelled => "cancelled",
        }
    }

    /// The `type` of what is sent.
    #[must_use]
    pub fn event_type(self) -> String {
        format!("run.{}", self.as_str())
    }
}

/// From when on a run goes on too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// After four fifths of the job's timeout.
    MostOfTimeout,
    /// `too_long: 10m`: after this time.
    After(Duration),
}

impl TooLong {
    /// The time, for a job with this timeout.
    #[must_use]
    pub fn after(self, timeout: Duration) -> Duration {
        match self {
            Self::MostOfTimeout => timeout / 100 * TOO_LONG_PERCENT,
            Self::After(time) => time,
        }
    }
}

/// `on: [success, recovery, { failures: 3 }, { late: 5m }]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occasions {
    /// The words without a value, as bits in the order of [`Occasion::ALL`].
    words: u8,
    /// `failures: 3`: once, when so many runs have failed one after the other.
    pub failures: Option<NonZeroU32>,
    /// `late: 5m`: when a first attempt begins later than this.
    pub late: Option<Duration>,
    /// `too_long: 10m`.
    pub too_long: Option<TooLong>,
}

impl Occasions {
    /// Nothing.
    pub const NONE: Self = Self { words: 0, failures: None, late: None, too_long: None };

    /// `[failure, recovery, missed]`: what webhooks and commands tell of where nothing is written.
    #[must_use]
    pub fn usual() -> Self {
        Self::NONE.with(Occasion::Failure).with(Occasion::Recovery).with(Occasion::Missed)
    }

    /// `[start, success, failure, missed, cancelled]`: what Healthchecks expects.
    #[must_use]
    pub fn of_healthchecks() -> Self {
        let ends = Self::NONE.with(Occasion::Success).with(Occasion::Failure).with(Occasion::Missed);
        ends.with(Occasion::Start).as_pings()
    }

    /// The same for a receiver that counts starts and ends: one end for each run, and one for each start.
    #[must_use]
    pub fn as_pings(self) -> Self {
        // A recovery is a success, and one run has one of them.
        let once = if self.has(Occasion::Success) { self.without(Occasion::Recovery) } else { self };
        // Where nothing follows a start, there is an alarm for what somebody has cancelled on purpose.
        if once.has(Occasion::Start) { once.with(Occasion::Cancelled) } else { once }
    }

    fn without(self, plain: Occasion) -> Self {
        Self { words: self.words & !Self::bit(plain), ..self }
    }

    /// The same and one more, with the value that it has where none is written.
    #[must_use]
    pub fn with(self, occasion: Occasion) -> Self {
        match occasion {
            Occasion::Late => Self { late: Some(LATE), ..self },
            Occasion::TooLong => Self { too_long: Some(TooLong::MostOfTimeout), ..self },
            plain => Self { words: self.words | Self::bit(plain), ..self },
        }
    }

    /// Whether it is among them.
    #[must_use]
    pub fn has(&self, occasion: Occasion) -> bool {
        match occasion {
            Occasion::Late => self.late.is_some(),
            Occasion::TooLong => self.too_long.is_some(),
            plain => self.words & Self::bit(plain) != 0,
        }
    }

    fn bit(occasion: Occasion) -> u8 {
        let place = Occasion::ALL.iter().position(|known| *known == occasion).unwrap_or_default();
        1 << place
    }
}
