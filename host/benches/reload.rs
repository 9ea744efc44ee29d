//! How long it takes from the change of a plugin's file to the first run on its new code, under the built program.
//!
//! A small component, which a Rust compiler made, and a large one are replaced by a rename while a job of theirs fires every
//! 10 ms. `cold` has its code compiled; `cached` finds the code on disk, as a host that comes back does. Both stand beside
//! what compiling the same bytes costs in this very process (`compile`), and the ratios are to that: figures of one run
//! belong together, figures of two runs on a shared machine do not. The time until the next slot, 5 ms on average, is in
//! all of them, and so is the rest that a file must have come to before it is read.
//!
//! Prints a table and one JSON line. `--tiny` only shows that it works; `CLOCKJACK_LARGE=PATH` measures another component in
//! place of the large one, such as one of an interpreter; it has one function or is a command.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use clockjack::clock::SystemClock;
use clockjack_schedule::{manifest::scalar::show_size, ports::Clock as _};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use wasmtime::{Engine, component::Component};

/// Longest time that one replacement may take, on a slow machine that does other things.
const PATIENCE: Duration = Duration::from_secs(300);

/// How large the large component is: as interpreters are, half of it code and half of it data.
const LARGE_BYTES: usize = 11 << 20;

fn main() -> anyhow::Result<()> {
    let is_tiny = std::env::args().any(|arg| arg == "--tiny");
    let (n_small, n_large, large_bytes) = if is_tiny { (1, 1, LARGE_BYTES / 16) } else { (15, 5, LARGE_BYTES) };
    let guests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests");
    let small = fs::read(guests.join("bench-real.wasm"))?;
    #[expect(clippy::disallowed_methods, reason = "a bench has no settings; nothing else here reads the environment")]
    let large = match std::env::var("CLOCKJACK_LARGE") {
        Ok(path) => fs::read(&path).with_context(|| format!("failed to read `{path}`"))?,
        Err(_) => large::component(large_bytes)?,
    };
    let mut rows = Vec::new();
    for (name, bytes, n) in [("small", small, n_small), ("large", large, n_large)] {
        rows.push(measure(name, &bytes, n)?);
    }
    tell(&rows);
    Ok(())
}

/// What was measured of one component: medians.
struct Row {
    name: &'static str,
    n_bytes: usize,
    compile: Duration,
    cold: Duration,
    cached: Duration,
}

impl Row {
    fn ratio(&self, time: Duration) -> f64 {
        (time.as_secs_f64() / self.compile.as_secs_f64() * 100.0).round() / 100.0
    }
}

fn measure(name: &'static str, bytes: &[u8], n: u32) -> anyhow::Result<Row> {
    let mut stage = Stage::open(bytes)?;
    let (mut compiles, mut cold, mut cached) = (Vec::new(), Vec::new(), Vec::new());
    // In turns, so that what else the machine does meanwhile is in all of them.
    for number in 0..n {
        compiles.push(compile(&version(bytes, &format!("compile {number}")))?);
        cold.push(stage.replace(&version(bytes, &format!("cold {number}")))?);
        let known = version(bytes, &format!("cached {number}"));
        stage.warm(&known)?;
        cached.push(stage.replace(&known)?);
    }
    Ok(Row { name, n_bytes: bytes.len(), compile: median(compiles), cold: median(cold), cached: median(cached) })
}

/// The same component with other bytes: a custom section more.
fn version(bytes: &[u8], word: &str) -> Vec<u8> {
    let mut section = large::with_size(b"version");
    section.extend_from_slice(word.as_bytes());
    let mut version = bytes.to_vec();
    version.push(0);
    version.extend(large::with_size(&section));
    version
}

fn compile(bytes: &[u8]) -> anyhow::Result<Duration> {
    let engine = Engine::default();
    let began = SystemClock.monotonic();
    Component::new(&engine, bytes).map_err(anyhow::Error::from)?;
    Ok(SystemClock.monotonic().saturating_sub(began))
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// A host that runs, and the folder in which it does. It is killed when this is dropped.
struct Stage {
    folder: TempDir,
    host: Child,
    lines: Receiver<String>,
    generation: u64,
}

impl Stage {
    fn open(bytes: &[u8]) -> anyhow::Result<Self> {
        // In the build folder, which is on a disk; the folder for temporary files may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        fs::write(folder.path().join("plugin.wasm"), bytes)?;
        let job = "jobs: { job: { plugin: ./plugin.wasm, every: 10ms } }";
        fs::write(folder.path().join("clockjack.yaml"), format!("version: 1\n{job}\n"))?;
        let mut command = program(folder.path(), &["up", "--ledger", "memory:", "--log-format", "json"]);
        let mut host = command.stderr(Stdio::piped()).spawn()?;
        let lines = lines(host.stderr.take().context("stderr is piped")?);
        let mut stage = Self { folder, host, lines, generation: 0 };
        stage.next_generation()?;
        Ok(stage)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts other bytes in place of the plugin's, and says after which time they ran.
    fn replace(&mut self, bytes: &[u8]) -> anyhow::Result<Duration> {
        fs::write(self.path("plugin.new"), bytes)?;
        let began = SystemClock.now();
        fs::rename(self.path("plugin.new"), self.path("plugin.wasm"))?;
        let ran = self.next_generation()?;
        Ok((ran - began).to_std()?)
    }

    /// Has bytes compiled into the cache of the host, by another process.
    fn warm(&self, bytes: &[u8]) -> anyhow::Result<()> {
        fs::write(self.path("warm.wasm"), bytes)?;
        let status = program(self.folder.path(), &["inspect", "warm.wasm"]).stderr(Stdio::inherit()).status()?;
        anyhow::ensure!(status.success(), "`clockjack inspect` cannot load the component");
        Ok(())
    }

    /// Waits for a run on other code than before, and says when it began.
    fn next_generation(&mut self) -> anyhow::Result<DateTime<Utc>> {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).context("the host does not run the new code")?;
            let Ok(line) = serde_json::from_str::<Json>(&line) else { anyhow::bail!("the host says: {line}") };
            if line["level"] == "ERROR" || line["message"].as_str().is_some_and(|message| message.contains("refused")) {
                anyhow::bail!("the host says: {line}");
            }
            if line["message"] != "running" {
                continue;
            }
            // The first generation is not told.
            let generation = line["generation"].as_u64().unwrap_or(1);
            if self.generation < generation {
                self.generation = generation;
                let at = line["timestamp"].as_str().context("a line has its time")?;
                return Ok(DateTime::parse_from_rfc3339(at)?.to_utc());
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        drop(self.host.kill());
        drop(self.host.wait());
    }
}

/// The built program, in a folder in which it also keeps its code.
fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clockjack"));
    command.args(args).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    command.env_clear().env("PATH", "/usr/bin:/bin").env("CLOCKJACK_CACHE", folder.join("cache"));
    command
}

/// What a host logs, read so that it never waits for its reader.
fn lines(stderr: ChildStderr) -> Receiver<String> {
    let (tx, rx) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if tx.send(line).is_err() {
                return;
            }
        }
    });
    rx
}

#[expect(clippy::print_stdout, reason = "the table is what a bench is for")]
fn tell(rows: &[Row]) {
    let millis = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    println!(
        "{:<10}{:>10}{:>14}{:>14}{:>8}{:>14}{:>8}",
        "component", "size", "compile", "cold", "ratio", "cached", "ratio"
    );
    let mut line = json!({ "cores": thread::available_parallelism().map_or(1, usize::from) });
    for row in rows {
        let size = show_size(u64::try_from(row.n_bytes).unwrap_or(u64::MAX));
        let (compile, cold, cached) = (millis(row.compile), millis(row.cold), millis(row.cached));
        let (of_cold, of_cached) = (row.ratio(row.cold), row.ratio(row.cached));
        println!("{:<10}{size:>10}{compile:>14}{cold:>14}{of_cold:>8}{cached:>14}{of_cached:>8}", row.name);
        line[row.name] = json!({
            "bytes": row.n_bytes,
            "compile_ms": row.compile.as_secs_f64() * 1e3,
            "cold_ms": row.cold.as_secs_f64() * 1e3,
            "cold_ratio": of_cold,
            "cached_ms": row.cached.as_secs_f64() * 1e3,
            "cached_ratio": of_cached,
        });
    }
    println!("{line}");
}

/// A large component, made here: no compiler is needed, and its functions are real work for the engine's.
mod large {
    /// Instructions that each function repeats, with other numbers each time.
    const STEPS: usize = 24;

    const PAGE_BYTES: usize = 64 << 10;

    /// A component of about that size, half of it code, half of it data, with a function `run`.
    pub(super) fn component(n_bytes: usize) -> anyhow::Result<Vec<u8>> {
        let outline = wat::parse_str(
            r#"(component (core module $m (func (export "run"))) (core instance $i (instantiate $m))
                 (func (export "run") (canon lift (core func $i "run"))))"#,
        )?;
        let (head, mut rest) = outline.split_at(8);
        let mut component = head.to_vec();
        while let Some((&id, after)) = rest.split_first() {
            let (size, content) = size(after);
            let (content, next) = content.split_at(size);
            component.push(id);
            // Section 1 holds the module, which the large one takes the place of.
            component.extend(if id == 1 { with_size(&module(n_bytes)) } else { with_size(content) });
            rest = next;
        }
        Ok(component)
    }

    fn module(n_bytes: usize) -> Vec<u8> {
        let mut bodies = Vec::new();
        let (mut n_code, mut random) = (0, 1_u64);
        while n_code < n_bytes / 2 {
            let body = with_size(&body(&mut random));
            n_code += body.len();
            bodies.push(body);
        }
        // The last function is `run`: it calls the first one.
        bodies.push(with_size(&[0, 0x42, 0, 0x10, 0, 0x1a, 0x0b]));
        let n_functions = bodies.len();
        let data: Vec<u8> = (0..n_bytes / 2).map(|_| next(&mut random)).collect();
        let n_pages = data.len() / PAGE_BYTES + 1;
        let mut types = vec![1; n_functions];
        types[n_functions - 1] = 0;
        let sections: [(u8, Vec<u8>); 6] = [
            // Two types: nothing to nothing, and one number to another.
            (1, vec![2, 0x60, 0, 0, 0x60, 1, 0x7e, 1, 0x7e]),
            (3, [leb(n_functions), types].concat()),
            (5, [vec![1, 0], leb(n_pages)].concat()),
            (7, [vec![1, 3], b"run".to_vec(), vec![0], leb(n_functions - 1)].concat()),
            (10, [leb(n_functions), bodies.concat()].concat()),
            (11, [vec![1, 0, 0x41, 0, 0x0b], with_size(&data)].concat()),
        ];
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        for (id, content) in sections {
            module.push(id);
            module.extend(with_size(&content));
        }
        module
    }

    /// A function of one number: arithmetic, comparisons and loads, with branches between.
    fn body(random: &mut u64) -> Vec<u8> {
        let mut code = vec![0];
        for _ in 0..STEPS {
            let (one, two) = (next(random) & 0x3f, next(random) & 0x3f);
            // local 0 = (local 0 OP one), OP one of add, sub, mul, and, or, xor
            code.extend([0x20, 0, 0x42, one, 0x7c + next(random) % 3, 0x21, 0]);
            code.extend([0x20, 0, 0x42, two, 0x83 + next(random) % 3, 0x21, 0]);
            // if local 0 < two { local 0 = local 0 xor load(one) }
            code.extend([0x20, 0, 0x42, two, 0x53, 0x04, 0x40]);
            code.extend([0x20, 0, 0x41, one, 0x29, 3, 0, 0x85, 0x21, 0, 0x0b]);
        }
        code.extend([0x20, 0, 0x0b]);
        code
    }

    /// The next byte of a sequence that is the same in each run.
    fn next(random: &mut u64) -> u8 {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (*random >> 56).to_le_bytes()[0]
    }

    /// Bytes with their number before them.
    pub(super) fn with_size(bytes: &[u8]) -> Vec<u8> {
        [leb(bytes.len()), bytes.to_vec()].concat()
    }

    /// A number, seven bits in each byte, the lowest first.
    fn leb(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let low = (number & 0x7f).to_le_bytes()[0];
            number >>= 7;
            if number == 0 {
                bytes.push(low);
                return bytes;
            }
            bytes.push(low | 0x80);
        }
    }

    /// The number that bytes begin with, and the rest.
    fn size(bytes: &[u8]) -> (usize, &[u8]) {
        let n = bytes.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let number = bytes[..n].iter().rev().fold(0, |number, byte| number << 7 | usize::from(byte & 0x7f));
        (number, &bytes[n..])
    }
}
