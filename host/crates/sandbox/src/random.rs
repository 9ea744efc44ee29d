//! Random numbers that can be had again (`grants.random.seed`): the same seed, job and slot see the same ones, in every
//! attempt and on every machine.
//!
//! The stream is SHA-256 over a key and a counter: slow, and the same for ever, which no library's generator promises.

use std::convert::Infallible;

use clockjack_schedule::run::Run;
use rand_core::TryRng;
use sha2::{Digest as _, Sha256};
use wasmtime_wasi::WasiCtxBuilder;

/// What the numbers are for: each purpose has a stream of its own.
#[derive(Clone, Copy)]
enum Purpose {
    Secure,
    Insecure,
    InsecureSeed,
    Run,
}

/// Gives a guest numbers that the seed and the slot decide.
pub(crate) fn seeded(wasi: &mut WasiCtxBuilder, seed: u64, run: &Run) {
    let insecure = Stream::new(seed, run, Purpose::InsecureSeed).block();
    let mut first = [0; 16];
    first.copy_from_slice(&insecure[..16]);
    wasi.secure_random(Stream::new(seed, run, Purpose::Secure))
        .insecure_random(Stream::new(seed, run, Purpose::Insecure))
        .insecure_random_seed(u128::from_le_bytes(first));
}

/// What `run.random-seed` answers: 53 bits, which a JavaScript number holds.
pub(crate) fn of_run(seed: u64, run: &Run) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = Stream::new(seed, run, Purpose::Run).block();
    u64::from_le_bytes([a, b, c, d, e, f, g, h]) >> 11
}

struct Stream {
    key: [u8; 32],
    n_blocks: u64,
    /// What is left of the last block.
    left: Vec<u8>,
}

impl Stream {
    fn new(seed: u64, run: &Run, purpose: Purpose) -> Self {
        let mut key = Sha256::new();
        key.update(b"clockjack random 1\0");
        key.update(seed.to_le_bytes());
        key.update(run.scheduled_for.timestamp().to_le_bytes());
        key.update(run.scheduled_for.timestamp_subsec_nanos().to_le_bytes());
        key.update([purpose as u8]);
        key.update(run.job.to_string());
        Self { key: key.finalize().into(), n_blocks: 0, left: Vec::new() }
    }

    fn block(&mut self) -> [u8; 32] {
        let block = Sha256::new().chain_update(self.key).chain_update(self.n_blocks.to_le_bytes()).finalize();
        self.n_blocks += 1;
        block.into()
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            if self.left.is_empty() {
                self.left = self.block().to_vec();
                self.left.reverse();
            }
            *byte = self.left.pop().unwrap_or_default();
        }
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}
