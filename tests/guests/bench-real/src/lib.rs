//! A small real job for the bench: it uses WASI's clock, environment and randomness, and touches 1 MiB of memory.

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{collections::HashMap, env, hint::black_box, time::SystemTime};

    /// So much memory, written and read a word per page.
    const BYTES: usize = 1 << 20;
    /// The page size of the machines it runs on: every page becomes resident.
    const STEP: usize = 4096;

    /// Touches the memory and returns a number that depends on all of it.
    pub fn run() -> u32 {
        let mut memory = black_box(vec![0_u8; BYTES]);
        for (page, byte) in memory.iter_mut().step_by(STEP).enumerate() {
            *byte = (page % 251) as u8;
        }
        let sum: u32 = memory.iter().step_by(STEP).map(|&byte| u32::from(byte)).sum();
        // The seed of a hash map comes from `wasi:random`.
        let variables: HashMap<String, String> = env::vars().collect();
        let is_after_epoch = SystemTime::UNIX_EPOCH < SystemTime::now();
        black_box(variables.len());
        sum + u32::from(is_after_epoch)
    }
}
