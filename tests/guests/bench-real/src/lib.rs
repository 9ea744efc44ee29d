//! A small real job for the bench: it asks WASI for clock, environment and randomness, and touches 128 KiB of the
//! 1 MiB of memory that it begins with, a word per page.

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{
        collections::HashMap,
        env,
        hint::black_box,
        sync::{Mutex, PoisonError},
        time::SystemTime,
    };

    /// What the job works on: part of the memory that the component begins with, so that a run does not grow it.
    static BUFFER: Mutex<[u8; 128 << 10]> = Mutex::new([0; 128 << 10]);
    /// The page size of the machines it runs on: every page becomes resident.
    const STEP: usize = 4096;

    /// Touches the buffer and returns a number that depends on all of it.
    pub fn run() -> u32 {
        let mut buffer = BUFFER.lock().unwrap_or_else(PoisonError::into_inner);
        for (place, byte) in buffer.iter_mut().step_by(STEP).enumerate() {
            *byte = (place % 251) as u8;
        }
        let sum: u32 = black_box(&*buffer).iter().step_by(STEP).map(|&byte| u32::from(byte)).sum();
        // The seed of a hash map comes from `wasi:random`.
        let variables: HashMap<String, String> = env::vars().collect();
        let is_after_epoch = SystemTime::UNIX_EPOCH < SystemTime::now();
        black_box(variables.len());
        sum + u32::from(is_after_epoch)
    }
}
