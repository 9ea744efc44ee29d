//! What is told: one closed list of kinds, each with its fields. The page `docs/events.md` is made of it.

/// What an event says, in a stable word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// The host began.
    SchedulerStarted,
    /// The host starts nothing more.
    SchedulerStopping,
    /// The host has ended in good order.
    SchedulerStopped,
    /// Nothing of any job starts.
    SchedulerPaused,
    /// Jobs start again.
    SchedulerResumed,
    /// The wall clock jumped.
    SchedulerClockStepped,
    /// The ledger has decided more than it should have.
    SchedulerWatermarkAhead,
    /// The ledger cannot be written.
    SchedulerLedgerHeld,
    /// The ledger can be written again.
    SchedulerLedgerBack,
    /// A commit took long.
    SchedulerLedgerSlow,
    /// Another manifest is in force.
    ManifestReloaded,
    /// A manifest is not taken.
    ManifestRefused,
    /// A pool came.
    PoolAdded,
    /// A pool has another size.
    PoolChanged,
    /// A pool is gone.
    PoolRemoved,
    /// A plugin came.
    PluginAdded,
    /// A plugin runs other code.
    PluginReplaced,
    /// The file of a plugin cannot be used.
    PluginRefused,
    /// The file of a plugin waits for approval.
    PluginHeld,
    /// A plugin runs earlier code again.
    PluginRolledBack,
    /// The trial of new code went well.
    PluginPassed,
    /// A plugin is gone.
    PluginRemoved,
    /// A component in a directory is left out.
    PluginLeftOut,
    /// A job came.
    JobAdded,
    /// A job has another definition.
    JobChanged,
    /// A job is gone.
    JobRemoved,
    /// A job starts nothing more.
    JobPaused,
    /// A job goes on.
    JobResumed,
    /// More happened to jobs than is told one by one.
    JobMore,
    /// An attempt is due and waits for its place.
    RunQueued,
    /// An attempt waits for its memory.
    RunHeld,
    /// An attempt began.
    RunStarted,
    /// A guest said how far it is.
    RunProgress,
    /// An attempt has ended, and another one follows.
    RunRetrying,
    /// A run has ended.
    RunFinished,
    /// Slots became no run.
    RunSkipped,
    /// Slots became no run because they were too late.
    RunMissed,
    /// Events are missing.
    EventsLost,
}

/// What there is to say of a kind.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The stable word.
    pub name: &'static str,
    /// What has happened, in a sentence.
    pub meaning: &'static str,
    /// The fields beside `id`, `type` and `at`, and what they say.
    pub fields: &'static [(&'static str, &'static str)],
    /// What APScheduler calls it; empty where it has nothing like it.
    pub apscheduler: &'static str,
}

const JOB: (&str, &str) = ("job", "which job");
const RUN: (&str, &str) = ("run", "the id of the run");
const ATTEMPT: (&str, &str) = ("attempt", "which attempt, counted from 1");
const SLOT: (&str, &str) = ("scheduled_for", "the slot of the run");
const DUE: (&str, &str) = ("due_at", "when it may start: the slot and its jitter");
const CAUSE: (&str, &str) =
    ("cause", "why the run exists: `schedule`, `catch-up of N`, `manual`, `api`, `upstream JOB`, `start`");
const OUTCOME: (&str, &str) = ("outcome", "how it ended, one of the codes");
const ERROR: (&str, &str) = ("error", "what went wrong, cut to 500 characters; `null` after a success");
const DURATION: (&str, &str) = ("duration_ms", "how long the last attempt took; `null` where that was not measured");
const NOTE: (&str, &str) = ("note", "why, as whoever asked for it said");
const UNTIL: (&str, &str) = ("until", "until when; `null` means for ever");
const BY: (&str, &str) = ("by", "who asked for it, where that is known");
const REASON: (&str, &str) = ("reason", "why");
const POOL: (&str, &str) = ("pool", "which pool");
const SKIP: &[(&str, &str)] = &[
    JOB,
    ("run", "the run that the slot had already become, if it had"),
    ("reason", "why: `misfired`, `coalesced`, `overlapping`, `paused`, `removed`, `cancelled`, `overloaded`"),
    ("first", "the first slot"),
    ("last", "the last slot; that of `first` where it is one"),
    ("count", "how many slots"),
    ("by", "the run that was in the way, or into which they were folded"),
];
const FINISHED: &[(&str, &str)] = &[
    JOB,
    RUN,
    SLOT,
    CAUSE,
    OUTCOME,
    ERROR,
    ("started_at", "when its last attempt began; `null` where none did"),
    ("finished_at", "when it ended"),
    DURATION,
    ("attempts", "how many attempts there were"),
    ("lateness_ms", "how long after it was due the first attempt began; `null` where there were several"),
    ("cpu_time_ms", "processor time of the last attempt"),
    ("memory_peak_bytes", "most memory of the last attempt"),
    ("fuel_used", "instructions of the last attempt, where they were counted"),
    ("generation", "which generation of its plugin ran; `null` where no guest did"),
    ("replayed", "`true` where it is told after a crash by the next life of the host; else absent"),
];
const PLUGIN: &[(&str, &str)] = &[
    ("plugin", "which plugin"),
    ("generation", "what runs from now on"),
    ("before", "what ran before, where that is another one"),
    ("digest", "the SHA-256 of the file that it is about"),
    ("reason", "why, or what is the matter"),
    ("fix", "what to do about it; `null` where nothing is to be done"),
];

impl EventKind {
    /// All kinds, in the order of the page.
    pub const ALL: [Self; 38] = [
        Self::SchedulerStarted,
        Self::SchedulerStopping,
        Self::SchedulerStopped,
        Self::SchedulerPaused,
        Self::SchedulerResumed,
        Self::SchedulerClockStepped,
        Self::SchedulerWatermarkAhead,
        Self::SchedulerLedgerHeld,
        Self::SchedulerLedgerBack,
        Self::SchedulerLedgerSlow,
        Self::ManifestReloaded,
        Self::ManifestRefused,
        Self::PoolAdded,
        Self::PoolChanged,
        Self::PoolRemoved,
        Self::PluginAdded,
        Self::PluginReplaced,
        Self::PluginRefused,
        Self::PluginHeld,
        Self::PluginRolledBack,
        Self::PluginPassed,
        Self::PluginRemoved,
        Self::PluginLeftOut,
        Self::JobAdded,
        Self::JobChanged,
        Self::JobRemoved,
        Self::JobPaused,
        Self::JobResumed,
        Self::JobMore,
        Self::RunQueued,
        Self::RunHeld,
        Self::RunStarted,
        Self::RunProgress,
        Self::RunRetrying,
        Self::RunFinished,
        Self::RunSkipped,
        Self::RunMissed,
        Self::EventsLost,
    ];

    /// The stable word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.about().name
    }

    /// The kind with this word.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }

    /// What there is to say of it.
    #[must_use]
    pub fn about(self) -> About {
        match self {
            Self::SchedulerStarted
            | Self::SchedulerStopping
            | Self::SchedulerStopped
            | Self::SchedulerPaused
            | Self::SchedulerResumed
            | Self::SchedulerClockStepped
            | Self::SchedulerWatermarkAhead
            | Self::SchedulerLedgerHeld
            | Self::SchedulerLedgerBack
            | Self::SchedulerLedgerSlow => self.of_the_host(),
            Self::ManifestReloaded
            | Self::ManifestRefused
            | Self::PoolAdded
            | Self::PoolChanged
            | Self::PoolRemoved
            | Self::PluginAdded
            | Self::PluginReplaced
            | Self::PluginRefused
            | Self::PluginHeld
            | Self::PluginRolledBack
            | Self::PluginPassed
            | Self::PluginRemoved
            | Self::PluginLeftOut => self.of_the_manifest(),
            Self::JobAdded
            | Self::JobChanged
            | Self::JobRemoved
            | Self::JobPaused
            | Self::JobResumed
            | Self::JobMore => self.of_a_job(),
            Self::RunQueued
            | Self::RunHeld
            | Self::RunStarted
            | Self::RunProgress
            | Self::RunRetrying
            | Self::RunFinished
            | Self::RunSkipped
            | Self::RunMissed
            | Self::EventsLost => self.of_a_run(),
        }
    }

    fn of_the_host(self) -> About {
        match self {
            Self::SchedulerStarted => about(
                "scheduler.started",
                "The host began.",
                &[("version", "which Clockjack it is")],
                "SCHEDULER_STARTED",
            ),
            Self::SchedulerStopping => about(
                "scheduler.stopping",
                "The host starts nothing more; runs that go on get their grace.",
                &[("running", "how many runs go on or wait for a place")],
                "",
            ),
            Self::SchedulerStopped => about(
                "scheduler.stopped",
                "The host has ended in good order. A life that a crash ended has no such event.",
                &[],
                "SCHEDULER_SHUTDOWN",
            ),
            Self::SchedulerPaused => about(
                "scheduler.paused",
                "Nothing of any job starts until the host is resumed; or why, or until when, is said anew.",
                &[NOTE, UNTIL, BY],
                "SCHEDULER_PAUSED",
            ),
            Self::SchedulerResumed => about("scheduler.resumed", "Jobs start again.", &[BY], "SCHEDULER_RESUMED"),
            Self::SchedulerClockStepped => about(
                "scheduler.clock_stepped",
                "The wall clock was set, or the machine slept. No slot runs twice.",
                &[("by_ms", "how far it went; negative where it was set back")],
                "",
            ),
            Self::SchedulerWatermarkAhead => about(
                "scheduler.watermark_ahead",
                "The ledger has decided every slot until an instant that lies ahead.",
                &[("until", "that instant")],
                "",
            ),
            Self::SchedulerLedgerHeld => {
                about("scheduler.ledger_held", "The ledger cannot be written, and nothing new starts.", &[REASON], "")
            }
            Self::SchedulerLedgerBack => about(
                "scheduler.ledger_back",
                "The ledger can be written again.",
                &[("after_ms", "how long it could not")],
                "",
            ),
            _ => about(
                "scheduler.ledger_slow",
                "A commit of the ledger took long; slots start late while it does.",
                &[("took_ms", "how long")],
                "",
            ),
        }
    }

    fn of_the_manifest(self) -> About {
        match self {
            Self::ManifestReloaded => about(
                "manifest.reloaded",
                "Another manifest is in force.",
                &[
                    ("cause", "what made the host read it"),
                    ("added", "how many jobs came"),
                    ("changed", "how many jobs changed"),
                    ("removed", "how many jobs went"),
                    ("untouched", "how many jobs stayed as they were"),
                    ("findings", "how many things there are to say of it"),
                ],
                "",
            ),
            Self::ManifestRefused => about(
                "manifest.refused",
                "A manifest is not taken; what was in force stays.",
                &[
                    ("cause", "what made the host read it"),
                    REASON,
                    ("findings", "how many things there are to say of it"),
                ],
                "",
            ),
            Self::PoolAdded => about(
                "pool.added",
                "A pool came with a manifest.",
                &[POOL, ("size", "how many runs of it go on at once")],
                "EXECUTOR_ADDED",
            ),
            Self::PoolChanged => about(
                "pool.changed",
                "A pool has another size.",
                &[POOL, ("size", "how many runs of it go on at once"), ("before", "how many did before")],
                "",
            ),
            Self::PoolRemoved => {
                about("pool.removed", "A pool is in no manifest any more.", &[POOL], "EXECUTOR_REMOVED")
            }
            Self::PluginAdded => about("plugin.added", "A plugin came with a manifest.", PLUGIN, ""),
            Self::PluginReplaced => about("plugin.replaced", "A plugin runs other code from now on.", PLUGIN, ""),
            Self::PluginRefused => {
                about("plugin.refused", "The new file of a plugin cannot be used; the old code goes on.", PLUGIN, "")
            }
            Self::PluginHeld => about(
                "plugin.held",
                "The new file of a plugin asks for more than is granted and waits for approval.",
                PLUGIN,
                "",
            ),
            Self::PluginRolledBack => about("plugin.rolled_back", "A plugin runs earlier code again.", PLUGIN, ""),
            Self::PluginPassed => about("plugin.passed", "The trial of new code went well.", PLUGIN, ""),
            Self::PluginRemoved => about("plugin.removed", "A plugin is gone.", PLUGIN, ""),
            _ => about(
                "plugin.left_out",
                "A component in a directory cannot be used, and nothing of it is in force.",
                PLUGIN,
                "",
            ),
        }
    }

    fn of_a_job(self) -> About {
        match self {
            Self::JobAdded => about(
                "job.added",
                "A job came that the ledger did not know. Jobs that come back with a restart are not told.",
                &[JOB, ("next", "its next slot; `null` where it has none"), ("trigger", "its trigger in words")],
                "JOB_ADDED",
            ),
            Self::JobChanged => about(
                "job.changed",
                "A job has another definition.",
                &[JOB, ("before", "when its next slot was"), ("next", "when its next slot is")],
                "JOB_MODIFIED",
            ),
            Self::JobRemoved => {
                about("job.removed", "A job is gone; its history stays.", &[JOB], "JOB_REMOVED, ALL_JOBS_REMOVED")
            }
            Self::JobPaused => about(
                "job.paused",
                "A job starts nothing until it is resumed; or why, or until when, is said anew.",
                &[JOB, NOTE, UNTIL, BY],
                "JOB_MODIFIED",
            ),
            Self::JobResumed => about("job.resumed", "A paused job goes on.", &[JOB, BY], "JOB_MODIFIED"),
            _ => about(
                "job.more",
                "In one turn more jobs came, changed or went than are told one by one.",
                &[("count", "how many are not told")],
                "",
            ),
        }
    }

    fn of_a_run(self) -> About {
        match self {
            Self::RunQueued => about(
                "run.queued",
                "An attempt is due, and waits for a place in its pool. Where more than 5,000 events are told in a second, the journal does not keep it.",
                &[JOB, RUN, ATTEMPT, SLOT, DUE, CAUSE],
                "JOB_SUBMITTED",
            ),
            Self::RunHeld => about(
                "run.held",
                "An attempt has a place and waits until other runs give back the memory that it needs.",
                &[JOB, RUN, SLOT, ("memory_bytes", "how much it needs")],
                "",
            ),
            Self::RunStarted => about(
                "run.started",
                "An attempt began. Where more than 5,000 events are told in a second, the journal does not keep it.",
                &[
                    JOB,
                    RUN,
                    ATTEMPT,
                    SLOT,
                    CAUSE,
                    ("lateness_ms", "how long after it was due; `null` for later attempts"),
                    ("generation", "which generation of its plugin it runs, where that is known"),
                ],
                "",
            ),
            Self::RunProgress => about(
                "run.progress",
                "A guest said how far it is; told twice a second at the most.",
                &[
                    JOB,
                    RUN,
                    ATTEMPT,
                    ("done", "how much is done"),
                    ("total", "of how much; `null` where it did not say"),
                    ("message", "what it said"),
                ],
                "",
            ),
            Self::RunRetrying => about(
                "run.retrying",
                "An attempt has ended, and another one follows.",
                &[JOB, RUN, ATTEMPT, SLOT, OUTCOME, ERROR, DURATION, ("retry_at", "when the next attempt is due")],
                "JOB_ERROR",
            ),
            Self::RunFinished => {
                about("run.finished", "A run has ended, and its row says so.", FINISHED, "JOB_EXECUTED, JOB_ERROR")
            }
            Self::RunSkipped => about("run.skipped", "Slots became no run.", SKIP, "JOB_MAX_INSTANCES"),
            Self::RunMissed => about(
                "run.missed",
                "Slots became no run because they were later than `misfire_grace`.",
                SKIP,
                "JOB_MISSED",
            ),
            _ => about(
                "events.lost",
                "Events are missing from the journal: the ledger could not be written for too long.",
                &[("first", "the number of the first"), ("last", "the number of the last")],
                "",
            ),
        }
    }
}

fn about(
    name: &'static str,
    meaning: &'static str,
    fields: &'static [(&'static str, &'static str)],
    apscheduler: &'static str,
) -> About {
    About { name, meaning, fields, apscheduler }
}

#[cfg(test)]
mod tests;
