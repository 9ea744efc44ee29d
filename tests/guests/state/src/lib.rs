//! Remembers from run to run, and reads secrets: one function for each promise of `wit/state.wit` and `wit/secrets.wit`.

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{thread, time::Duration};

    use clockjack_sdk::{Failure, Value, state};

    /// What is under a key.
    #[derive(Debug, Value)]
    pub struct Found {
        /// The value as text.
        pub text: String,
        /// Its version.
        pub version: u64,
    }

    /// Adds 1 to `count` and returns it, or fails after that if asked to: then nothing may have changed.
    pub fn count(fail: bool) -> Result<i64, String> {
        let count = state::add("count", 1)?;
        if fail { Err(format!("fails at {count}, as asked")) } else { Ok(count) }
    }

    /// As `count`, by compare-and-set, and sleeps between reading and writing: of two at a time, one must fail.
    pub fn count_carefully(sleep_ms: u32) -> Result<i64, Failure> {
        let entry = state::get("count")?;
        let count = entry.as_ref().map_or(Ok(0), state::Entry::parse::<i64>)? + 1;
        thread::sleep(Duration::from_millis(u64::from(sleep_ms)));
        state::compare_and_set("count", entry.map(|entry| entry.version()), count)?;
        Ok(count)
    }

    /// Writes `text` under `key` if the key has this version; absent says that there must be none.
    pub fn compare_and_set(key: String, expected: Option<u64>, text: String) -> Result<(), String> {
        Ok(state::compare_and_set(&key, expected, text)?)
    }

    /// Writes a text.
    pub fn set(key: String, text: String) -> Result<(), String> {
        Ok(state::set(&key, text)?)
    }

    /// Reads a text with its version.
    pub fn get(key: String) -> Result<Option<Found>, String> {
        let Some(entry) = state::get(&key)? else { return Ok(None) };
        Ok(Some(Found { text: entry.text()?.to_owned(), version: entry.version() }))
    }

    /// Deletes a value, then writes `text` in its place if there is one, and returns the version before and after.
    pub fn delete(key: String, text: Option<String>) -> Result<(Option<u64>, Option<u64>), String> {
        let version = |entry: Option<state::Entry>| entry.map(|entry| entry.version());
        let before = version(state::get(&key)?);
        state::delete(&key)?;
        if state::get(&key)?.is_some() {
            return Err(format!("`{key}` is still there"));
        }
        if let Some(text) = text {
            state::set(&key, text)?;
        }
        Ok((before, version(state::get(&key)?)))
    }

    /// Writes values of `bytes` bytes each under as many keys as `keys` says.
    pub fn fill(keys: u32, bytes: u32) -> Result<(), String> {
        let value = vec![b'x'; bytes as usize];
        for key in 0..keys {
            state::set(&format!("fill/{key:06}"), &value)?;
        }
        Ok(())
    }

    /// The keys that begin with `prefix` and come after `after`, at most `limit`.
    pub fn list(prefix: String, after: Option<String>, limit: u32) -> Result<Vec<String>, String> {
        Ok(state::list(&prefix, after.as_deref(), limit)?)
    }

    /// Writes `mark` and lists what it sees of its own writes before they are kept, a deleted key among them.
    pub fn mark_and_list() -> Result<Vec<String>, String> {
        state::set("mark/a", 1)?;
        state::set("mark/b", 2)?;
        state::set("mark/c", 3)?;
        state::delete("mark/b")?;
        Ok(state::keys("mark/")?)
    }

    /// Writes `kept`, commits, writes `dropped`, and fails: only the first may be there afterwards.
    pub fn checkpoint_then_fail(text: String) -> Result<(), String> {
        state::set("kept", &text)?;
        state::commit()?;
        state::set("dropped", &text)?;
        Err("fails after its checkpoint, as asked".to_owned())
    }

    /// Writes, commits, and never comes back: what was committed outlives the attempt that is cut.
    pub fn checkpoint_then_hang(text: String) -> Result<(), String> {
        state::set("kept", &text)?;
        state::commit()?;
        state::set("dropped", &text)?;
        loop {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Functions that are exported one by one.
pub mod tellers {
    use clockjack_sdk::{Failure, secrets};

    /// The value of a secret, as the function's result: what the host keeps of it must not show it.
    #[clockjack_sdk::job]
    pub fn reveal(name: String) -> Result<String, String> {
        Ok(secrets::get(&name)?.expose().to_owned())
    }

    /// How many bytes a secret has: proof that the job has it, in a form that nobody has to hide.
    #[clockjack_sdk::job]
    pub fn measure(
        /// As the manifest calls it.
        name: String,
    ) -> Result<u64, Failure> {
        Ok(secrets::get(&name)?.expose().len() as u64)
    }

    /// Tells a secret on every way out that a job has, and fails with it.
    #[clockjack_sdk::job]
    pub fn leak(name: String) -> Result<(), String> {
        let value = secrets::get(&name)?;
        let value = value.expose();
        println!("stdout: {value}");
        eprintln!("stderr: {value}");
        clockjack_sdk::warn!(field = value, "message: {value}");
        clockjack_sdk::progress_with(1, None, &format!("progress: {value}"));
        Err(format!("error: {value}"))
    }
}
