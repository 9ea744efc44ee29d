//! How a long wait is told: a line that moves where a person looks at a terminal, and plain lines elsewhere, each once.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::print;

/// How often the line moves.
const TICK: Duration = Duration::from_millis(120);

/// How wide a bar is.
const BAR: &str = "{bar:30} {elapsed} {msg}";

/// Where nobody knows how much there is.
const SPINNER: &str = "{spinner} {elapsed} {msg}";

/// Something that is waited for. Its line goes with it.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    told: String,
}

impl Progress {
    /// Begins to wait. On a terminal that is told at once.
    pub(super) fn begin(what: &str) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            bar.set_style(style(SPINNER));
            bar.set_message(print::plain(what));
            bar.enable_steady_tick(TICK);
            bar
        });
        Self { bar, told: String::new() }
    }

    /// Tells how far it is: words of a guest, such as `3 of 10: pages`. Where they are the same as before, nothing is told.
    pub(super) fn tell(&mut self, words: &str) {
        if self.told == words {
            return;
        }
        words.clone_into(&mut self.told);
        let Some(bar) = &self.bar else { return print::talk(&print::plain(words)) };
        match parts(words) {
            Some((done, total, rest)) => {
                bar.set_style(style(BAR));
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(print::plain(&format!("{done} of {total} {rest}")));
            }
            None => bar.set_message(print::plain(words)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.iter().for_each(ProgressBar::finish_and_clear);
    }
}

/// A style without colours: what a terminal shows of it is the same everywhere.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_wrong| ProgressStyle::default_spinner())
}

/// How much is done of how much, and what else is said: `3 of 10: pages`.
fn parts(words: &str) -> Option<(u64, u64, &str)> {
    let (count, rest) = words.split_once(": ").unwrap_or((words, ""));
    let (done, total) = count.split_once(" of ")?;
    let (done, total) = (done.parse().ok()?, total.parse().ok()?);
    (0 < total).then_some((done, total, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_a_bar_and_words_are_words() {
        assert_eq!(parts("3 of 10: pages"), Some((3, 10, "pages")));
        assert_eq!(parts("3 of 10"), Some((3, 10, "")));
        assert_eq!(parts("half of it: done"), None);
        assert_eq!(parts("3 of 0"), None);
        assert_eq!(parts("still here"), None);
    }

    #[test]
    fn templates_are_right() {
        for template in [BAR, SPINNER] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
