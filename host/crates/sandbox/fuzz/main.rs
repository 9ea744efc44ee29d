//! The loader and the conversion of arguments against made-up input: any bytes as a plugin, any module as a part of a
//! component, any mutation of a real one, any JSON as the arguments of any function.
//!
//! `cargo test -p clockjack-sandbox --test fuzz -- [--seconds N] [--seed N] [loader | arguments]…`: first the inputs in
//! `corpus`, then new ones. An input that breaks something is written to a file beside the temporary ones, with its name in
//! the last line; put it into `corpus` with the fix. Input is made from structure, not from coverage: most of it gets past
//! the parser.

#![expect(clippy::print_stdout, reason = "a program for tests says how far it is")]

mod arguments;
mod loader;
mod sandbox;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long each target plays without a word on the command line: enough to see that it works.
const SECONDS: u64 = 3;

/// How much random input one try has.
const INPUT_BYTES_MAX: u64 = 4_096;

struct Target {
    name: &'static str,
    play: fn(&[u8]) -> Played,
}

/// What became of an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Played {
    Refused,
    Ran,
}

const TARGETS: [Target; 2] =
    [Target { name: "loader", play: loader::play }, Target { name: "arguments", play: arguments::play }];

struct Options {
    seconds: u64,
    seed: u64,
    names: Vec<String>,
}

impl Options {
    fn read() -> Self {
        let mut options = Self { seconds: SECONDS, seed: fresh_seed(), names: Vec::new() };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let number = |words: &mut dyn Iterator<Item = String>| words.next().and_then(|word| word.parse().ok());
            match word.as_str() {
                "--seconds" => options.seconds = number(&mut words).expect("`--seconds` has a number"),
                "--seed" => options.seed = number(&mut words).expect("`--seed` has a number"),
                // What a test runner is given that passes its options on.
                flag if flag.starts_with('-') => {}
                name => options.names.push(name.to_owned()),
            }
        }
        options
    }
}

fn fresh_seed() -> u64 {
    use std::hash::BuildHasher as _;
    std::hash::RandomState::new().hash_one(0)
}

/// `SplitMix64`: small, and good enough to fill bytes.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self) -> Vec<u8> {
        let n_bytes = usize::try_from(self.next() % INPUT_BYTES_MAX).unwrap_or(1);
        let mut bytes = Vec::with_capacity(n_bytes + 8);
        while bytes.len() < n_bytes {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes
    }
}

fn main() {
    let options = Options::read();
    for target in TARGETS {
        if options.names.is_empty() || options.names.iter().any(|name| name == target.name) {
            run(&target, &options);
        }
    }
}

fn run(target: &Target, options: &Options) {
    for path in corpus(target.name) {
        play(target, &fs::read(&path).expect("an input of the corpus can be read"), &path.display().to_string());
    }
    #[expect(clippy::disallowed_methods, reason = "a stopwatch of a test program")]
    let began = Instant::now();
    let (mut random, mut n_tries, mut n_ran) = (Random(options.seed), 0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(options.seconds) {
        let input = random.bytes();
        let played = play(target, &input, &format!("seed {}, try {n_tries}", options.seed));
        n_tries += 1;
        n_ran += u64::from(played == Played::Ran);
    }
    println!("fuzz {}: {n_tries} inputs, {n_ran} of them ran, seed {}", target.name, options.seed);
    // A generator that makes nothing but refusals would test nothing.
    assert!(n_tries < 200 || 0 < n_ran, "no input of {n_tries} ran");
}

fn play(target: &Target, input: &[u8], from: &str) -> Played {
    match catch_unwind(AssertUnwindSafe(|| (target.play)(input))) {
        Ok(played) => played,
        Err(panic) => {
            let path = std::env::temp_dir().join(format!("clockjack-fuzz-{}-{}", target.name, std::process::id()));
            fs::write(&path, input).expect("the input can be kept");
            println!("fuzz {}: broken by {from}; the input is in {}", target.name, path.display());
            resume_unwind(panic)
        }
    }
}

fn corpus(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let entries = fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}
