//! Writes down what it sees, so that nobody has to believe the ledger: each attempt leaves a file of its own.
//!
//! The name of the file says that the attempt began: `JOB~SLOT~RUN~ATTEMPT~CAUSE~START`, slot in milliseconds and start
//! in microseconds since 1970. To create a file is one step, which no kill cuts in two. What is in it says how the attempt
//! ended: `END succeeded` or `END failed`, in one write before the function returns; it is empty where the attempt was
//! cut. Two starts of one attempt are two files.

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{
        fs::OpenOptions,
        io::{ErrorKind, Write as _},
        thread,
        time::{Duration, SystemTime},
    };

    use clockjack_sdk::Cause;

    /// Leaves its file in `folder`, sleeps for up to `sleep-ms`, and fails in `failures` of 100 attempts.
    pub fn attest(folder: String, sleep_ms: u32, failures: u32) -> Result<(), String> {
        let context = clockjack_sdk::context();
        let cause = match context.cause {
            Cause::Schedule => "schedule",
            Cause::CatchUp(_) => "catch-up",
            Cause::Manual | Cause::Api => "manual",
            Cause::Upstream(_) => "upstream",
            Cause::Retry => "retry",
            _ => "other",
        };
        let slot = since_1970(context.scheduled_for).as_millis();
        let (job, run, attempt) = (&context.job, &context.run_id, context.attempt);
        let mut file = loop {
            let name = format!("{folder}/{job}~{slot}~{run}~{attempt}~{cause}~{}", now());
            match OpenOptions::new().write(true).create_new(true).open(&name) {
                // Another start of the same attempt, in the same microsecond.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(format!("cannot create `{name}`: {error}")),
                Ok(file) => break file,
            }
        };
        let dice = dice(run, attempt);
        thread::sleep(Duration::from_millis(dice % (u64::from(sleep_ms) + 1)));
        let fails = (dice >> 32) % 100 < u64::from(failures);
        let said = if fails { "failed" } else { "succeeded" };
        let line = format!("{} {said}\n", now());
        file.write_all(line.as_bytes()).map_err(|error| format!("cannot write the end: {error}"))?;
        if fails { Err("it was its turn to fail".into()) } else { Ok(()) }
    }

    /// Microseconds since 1970.
    fn now() -> u128 {
        since_1970(SystemTime::now()).as_micros()
    }

    fn since_1970(instant: SystemTime) -> Duration {
        instant.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    /// The same for the same attempt, and different for the next: FNV-1a, then stirred.
    fn dice(run: &str, attempt: u32) -> u64 {
        let bytes = run.bytes().chain(attempt.to_le_bytes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let stirred = (hash ^ (hash >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        stirred ^ (stirred >> 29)
    }
}
