//! What the machine itself was able to do meanwhile, seen by the harness alone: others use its cores and its disk too, and
//! a scheduler cannot be earlier than the disk to which it commits.

use std::{
    fs::File,
    io::{Seek as _, Write as _},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use clockjack_checker::{Micros, Span};

use crate::{
    fleet::MS,
    process::{now, sleep},
};

/// How often the machine is asked for a sign of life.
const PERIOD: Duration = Duration::from_millis(50);

/// From when on the answer is called a standstill: a fraction of what the host is granted for being late.
const STANDSTILL_MIN: Micros = 500 * MS;

/// When the machine stood still, so far.
static STANDSTILLS: Mutex<Vec<Span>> = Mutex::new(Vec::new());

/// Begins to watch: a small file is written and flushed to the disk again and again, as a ledger is.
pub(crate) fn watch() {
    let mut file = tempfile::tempfile().expect("a temporary file");
    thread::spawn(move || {
        loop {
            let began = now();
            sleep(PERIOD);
            flush(&mut file).expect("a file that can be written");
            let span = Span::new(began, now());
            if STANDSTILL_MIN < span.until - span.from {
                STANDSTILLS.lock().unwrap_or_else(PoisonError::into_inner).push(span);
            }
        }
    });
}

fn flush(file: &mut File) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(&[0; 4_096])?;
    file.sync_data()
}

/// When the machine stood still, from an instant on.
pub(crate) fn standstills(since: Micros) -> Vec<Span> {
    let all = STANDSTILLS.lock().unwrap_or_else(PoisonError::into_inner);
    all.iter().copied().filter(|span| since < span.until).collect()
}
