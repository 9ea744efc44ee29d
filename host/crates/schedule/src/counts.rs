//! What an attempt may use that is counted: calls, handles, lines, files, bytes. Each count has a limit, a default for it
//! and a ceiling above which no job may ask.

use std::fmt;

/// The counted limits of one attempt; of a host, the most that its jobs may ask for.
///
/// ```yaml
/// limits: { host_calls: 50000, files: 10, file_bytes: 5MiB, logs: { lines: 200, bytes: 64KiB } }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Counts {
    /// `host_calls`: calls from the guest into the host.
    pub host_calls_max: u64,
    /// `handles`: handles to resources that are open at once; among them as many files, streams and timers as
    /// [`Counts::resources_max`] says.
    pub handles_max: u64,
    /// `logs.lines`: log lines that are kept; more are counted.
    pub log_lines_max: u64,
    /// `logs.bytes`: bytes of log lines that are kept.
    pub log_bytes_max: u64,
    /// `files`: files, folders and links that are made.
    pub files_max: u64,
    /// `file_bytes`: bytes that are written into files.
    pub file_bytes_max: u64,
    /// `http_calls`: HTTP requests that are sent.
    pub http_calls_max: u64,
    /// `http_bytes`: bytes of HTTP responses, all together.
    pub http_bytes_max: u64,
}

/// One count: the key under `limits`, whether it is bytes, the least that makes sense, and where it is.
pub struct Count {
    /// As it is written under `limits` and under `host.ceilings`.
    pub key: &'static str,
    /// Whether it is written as a size, such as `64KiB`.
    pub is_size: bool,
    /// The smallest limit.
    pub min: u64,
    /// What it counts, for people and for the manifest's schema.
    pub what: &'static str,
    /// Its place.
    pub place: fn(&mut Counts) -> &mut u64,
}

impl Counts {
    /// All counts, in the order of the documentation.
    pub const ALL: [Count; 8] = [
        Count {
            key: "host_calls",
            is_size: false,
            min: 1,
            what: "Calls of an attempt into the host",
            place: |counts| &mut counts.host_calls_max,
        },
        Count {
            key: "handles",
            is_size: false,
            // The streams of a program and what it opens at once before its first line.
            min: 16,
            what: "Handles that an attempt has open at once",
            place: |counts| &mut counts.handles_max,
        },
        Count {
            key: "logs.lines",
            is_size: false,
            min: 0,
            what: "Log lines of an attempt that are kept",
            place: |counts| &mut counts.log_lines_max,
        },
        Count {
            key: "logs.bytes",
            is_size: true,
            min: 0,
            what: "Bytes of log lines that are kept",
            place: |counts| &mut counts.log_bytes_max,
        },
        Count {
            key: "files",
            is_size: false,
            min: 0,
            what: "Files, folders and links that an attempt may make",
            place: |counts| &mut counts.files_max,
        },
        Count {
            key: "file_bytes",
            is_size: true,
            min: 0,
            what: "Bytes that an attempt may write into files",
            place: |counts| &mut counts.file_bytes_max,
        },
        Count {
            key: "http_calls",
            is_size: false,
            min: 0,
            what: "HTTP requests of an attempt",
            place: |counts| &mut counts.http_calls_max,
        },
        Count {
            key: "http_bytes",
            is_size: true,
            min: 0,
            what: "Bytes of HTTP responses, all together",
            place: |counts| &mut counts.http_bytes_max,
        },
    ];

    /// Host resources (files, streams, timers) that are open at once. Each open file is a descriptor of the whole
    /// process, so there are fewer of them than handles.
    #[must_use]
    pub fn resources_max(&self) -> u64 {
        (self.handles_max / 16).clamp(RESOURCES_MIN.min(self.handles_max), RESOURCES_MAX)
    }

    /// The same with nothing above a ceiling.
    #[must_use]
    pub fn under(mut self, ceilings: &Self) -> Self {
        let mut ceilings = ceilings.clone();
        for count in Self::ALL {
            let limit = (count.place)(&mut self);
            *limit = (*limit).min(*(count.place)(&mut ceilings));
        }
        self
    }

    /// The highest ceilings that are built in.
    #[must_use]
    pub fn ceilings() -> Self {
        Self {
            host_calls_max: 1_000_000_000,
            // What the engine itself allows is 100,000.
            handles_max: 65_536,
            log_lines_max: 100_000,
            log_bytes_max: 16 << 20,
            files_max: 1_000_000,
            file_bytes_max: 1 << 40,
            http_calls_max: 1_000_000,
            http_bytes_max: 16 << 30,
        }
    }
}

/// What every guest may have open where its handles allow it: a program with a hundred files and their streams.
const RESOURCES_MIN: u64 = 256;

/// The most that any guest may have open: 64 of them fit into the open files of a usual process.
const RESOURCES_MAX: u64 = 1_024;

impl Default for Counts {
    fn default() -> Self {
        Self {
            // A busy job makes some thousands; a million take the host a second.
            host_calls_max: 1_000_000,
            handles_max: 4_096,
            log_lines_max: 1_000,
            log_bytes_max: 256 << 10,
            files_max: 1_000,
            file_bytes_max: 1 << 30,
            http_calls_max: 1_000,
            http_bytes_max: 64 << 20,
        }
    }
}

impl fmt::Debug for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = self.clone();
        let mut map = f.debug_map();
        for count in Self::ALL {
            map.entry(&format_args!("{}", count.key), (count.place)(&mut counts));
        }
        map.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_below_the_ceilings_and_resources_below_the_handles() {
        assert_eq!(Counts::default().under(&Counts::ceilings()), Counts::default());
        let resources = |handles_max| Counts { handles_max, ..Counts::default() }.resources_max();
        assert_eq!([16, 255, 4_096, 8_192, 65_536].map(resources), [16, 255, 256, 512, 1_024]);
    }
}
