//! What an attempt used of what is counted, beside time, memory and instructions.

/// What one attempt used. Zero where it was not used or not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How many whole milliseconds the instantiation took.
    pub startup_ms: u64,
    /// Calls into the host.
    pub host_calls: u64,
    /// Highest sum of all table elements.
    pub table_elements_peak: u64,
    /// Log lines, those included that were not kept.
    pub log_lines: u64,
    /// Bytes of log lines, those included that were not kept.
    pub log_bytes: u64,
    /// Files, folders and links that were made.
    pub files_created: u64,
    /// Bytes that were written into files.
    pub file_bytes_written: u64,
    /// HTTP requests that were sent.
    pub http_calls: u64,
    /// Bytes of HTTP responses.
    pub http_bytes: u64,
    /// The largest of what `limits.output` bounds: stdout, stderr, the result.
    pub output_bytes: u64,
}

/// A figure of a usage: its name, which is a contract, and its place.
pub type Figure = (&'static str, fn(&mut Usage) -> &mut u64);

impl Usage {
    /// All figures.
    pub const FIGURES: [Figure; 10] = [
        ("startup_ms", |usage| &mut usage.startup_ms),
        ("host_calls", |usage| &mut usage.host_calls),
        ("table_elements_peak", |usage| &mut usage.table_elements_peak),
        ("log_lines", |usage| &mut usage.log_lines),
        ("log_bytes", |usage| &mut usage.log_bytes),
        ("files_created", |usage| &mut usage.files_created),
        ("file_bytes_written", |usage| &mut usage.file_bytes_written),
        ("http_calls", |usage| &mut usage.http_calls),
        ("http_bytes", |usage| &mut usage.http_bytes),
        ("output_bytes", |usage| &mut usage.output_bytes),
    ];

    /// Every figure by its name.
    pub fn figures(mut self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::FIGURES.into_iter().map(move |(name, place)| (name, *place(&mut self)))
    }
}
