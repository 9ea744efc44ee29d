//! What a guest says while it goes on, passed on to whoever listens: bounded, without the values of secrets, and never
//! later than it is said. The whole of it comes with the report.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use clockjack_schedule::{
    ports::{Attempt, Listen, LogLine, Said},
    run::Run,
};
use tokio::time::Instant;

use crate::redact::{CutAt, Redactor};

/// Longest line that is passed on in one piece, and longest text of a line of the log.
const LINE_BYTES_MAX: usize = 4 << 10;

/// How many lines may be passed on at once, and how many in each second after that.
const LINES_MAX: u32 = 500;
const LINES_PER_SECOND: f64 = 200.0;

/// Passes on what an attempt says. Clones belong to the same attempt.
#[derive(Clone, Default)]
pub(crate) struct LiveOut(Option<Arc<Inner>>);

struct Inner {
    listener: Arc<dyn Listen>,
    run: Arc<Run>,
    attempt: u32,
    state: Mutex<State>,
}

struct State {
    redactor: Option<Redactor>,
    /// Lines of stdout and stderr that have not ended. Absent where a value of several lines could stand in them, which
    /// nobody finds line by line.
    unfinished: Option<[Line; 2]>,
    n_left: f64,
    since: Instant,
    n_left_out: u64,
}

#[derive(Default)]
struct Line {
    bytes: Vec<u8>,
    /// A part of it was passed on already.
    is_rest: bool,
}

impl fmt::Debug for LiveOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveOut")
    }
}

impl LiveOut {
    /// What an attempt says; nothing is passed on where nobody listens.
    pub(crate) fn new(attempt: &Attempt, redactor: Option<Redactor>) -> Self {
        let Some(listener) = attempt.live.0.clone() else { return Self(None) };
        let unfinished =
            if redactor.as_ref().is_some_and(Redactor::spans_lines) { None } else { Some(Default::default()) };
        let state = State { redactor, unfinished, n_left: f64::from(LINES_MAX), since: Instant::now(), n_left_out: 0 };
        let (run, attempt) = (Arc::clone(&attempt.run), attempt.number);
        Self(Some(Arc::new(Inner { listener, run, attempt, state: Mutex::new(state) })))
    }

    /// Passes on what is said elsewhere, as if it were said here.
    pub(crate) fn say(&self, said: Said) {
        self.with(|inner, state| match said {
            Said::Log(line) => inner.log(state, line),
            Said::Wrote { is_stderr, text } => inner.wrote(state, is_stderr, text),
            Said::Progress { done, total, message } => {
                // Whoever listens keeps the newest only.
                inner.tell(state.progress(done, total, message));
            }
            Said::LeftOut(n_lines) => state.n_left_out = state.n_left_out.saturating_add(n_lines),
        });
    }

    /// Passes on a line of the log.
    pub(crate) fn log(&self, line: &LogLine) {
        self.with(|inner, state| inner.log(state, bounded(line)));
    }

    /// Passes on how far the guest is.
    pub(crate) fn progress(&self, done: u64, total: Option<u64>, message: &str) {
        self.with(|inner, state| inner.tell(state.progress(done, total, cut(message).to_owned())));
    }

    /// Passes on what was written, line by line.
    pub(crate) fn write(&self, is_stderr: bool, bytes: &[u8]) {
        self.with(|inner, state| {
            for part in bytes.split_inclusive(|byte| *byte == b'\n') {
                inner.part(state, is_stderr, part);
            }
        });
    }

    /// The attempt has ended: passes on what has no end of its own.
    pub(crate) fn finish(&self) {
        self.with(|inner, state| {
            for is_stderr in [false, true] {
                inner.end_line(state, is_stderr, true);
            }
            inner.tell_left_out(state);
        });
    }

    fn with(&self, work: impl FnOnce(&Inner, &mut State)) {
        if let Some(inner) = &self.0 {
            work(inner, &mut inner.state.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl State {
    /// Whether one more line may be passed on.
    fn take_place(&mut self) -> bool {
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.n_left = (self.n_left + passed * LINES_PER_SECOND).min(f64::from(LINES_MAX));
        if self.n_left < 1.0 {
            self.n_left_out = self.n_left_out.saturating_add(1);
            return false;
        }
        self.n_left -= 1.0;
        true
    }

    fn clean(&mut self, text: &mut String, cut: CutAt) {
        if let Some(redactor) = &mut self.redactor {
            redactor.text(text, cut);
        }
    }

    fn progress(&mut self, done: u64, total: Option<u64>, mut message: String) -> Said {
        self.clean(&mut message, CutAt::End);
        Said::Progress { done, total, message }
    }
}

impl Inner {
    fn tell(&self, said: Said) {
        self.listener.hear(&self.run, self.attempt, said);
    }

    fn tell_left_out(&self, state: &mut State) {
        if 0 < state.n_left_out {
            self.tell(Said::LeftOut(std::mem::take(&mut state.n_left_out)));
        }
    }

    fn log(&self, state: &mut State, line: LogLine) {
        if !state.take_place() {
            return;
        }
        let LogLine { at, level, mut message, mut fields } = line;
        state.clean(&mut message, CutAt::End);
        for (key, value) in &mut fields {
            state.clean(key, CutAt::End);
            state.clean(value, CutAt::End);
        }
        self.tell_left_out(state);
        self.tell(Said::Log(LogLine { at, level, message, fields }));
    }

    fn wrote(&self, state: &mut State, is_stderr: bool, text: String) {
        if state.take_place() {
            self.tell_left_out(state);
            self.tell(Said::Wrote { is_stderr, text });
        }
    }

    /// A part of a line, with its end if it has one.
    fn part(&self, state: &mut State, is_stderr: bool, mut part: &[u8]) {
        while let Some(lines) = &mut state.unfinished {
            let line = &mut lines[usize::from(is_stderr)].bytes;
            let n_bytes = part.len().min(LINE_BYTES_MAX.saturating_sub(line.len()));
            line.extend_from_slice(&part[..n_bytes]);
            let (has_ended, is_full) = (line.last() == Some(&b'\n'), LINE_BYTES_MAX <= line.len());
            part = &part[n_bytes..];
            if has_ended || is_full {
                self.end_line(state, is_stderr, has_ended);
            }
            if part.is_empty() {
                return;
            }
        }
    }

    fn end_line(&self, state: &mut State, is_stderr: bool, has_ended: bool) {
        let Some(lines) = &mut state.unfinished else { return };
        let line = &mut lines[usize::from(is_stderr)];
        if line.bytes.is_empty() {
            line.is_rest = false;
            return;
        }
        let (bytes, was_rest) = (std::mem::take(&mut line.bytes), std::mem::replace(&mut line.is_rest, !has_ended));
        if !state.take_place() {
            return;
        }
        let mut text = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
        // A value may have been cut at either end of a part.
        state.clean(&mut text, if has_ended { CutAt::Nowhere } else { CutAt::End });
        if was_rest {
            state.clean(&mut text, CutAt::Start);
        }
        self.tell_left_out(state);
        self.tell(Said::Wrote { is_stderr, text });
    }
}

/// The beginning of a text.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(LINE_BYTES_MAX)]
}

/// A line of the log with no more than is passed on.
pub(crate) fn bounded(line: &LogLine) -> LogLine {
    let mut n_left = LINE_BYTES_MAX;
    let mut fields = Vec::new();
    for (key, value) in &line.fields {
        let n_bytes = key.len() + value.len() + size_of::<(String, String)>();
        if n_left < n_bytes {
            break;
        }
        n_left -= n_bytes;
        fields.push((key.clone(), value.clone()));
    }
    LogLine { at: line.at, level: line.level, message: cut(&line.message).to_owned(), fields }
}

#[cfg(test)]
mod tests;
