//! Everything that a guest can do wrong, one function each. What the host makes of it is what the tests check.

#[clockjack_sdk::jobs]
pub mod jobs {
    use std::{
        collections::BTreeSet,
        env,
        ffi::{CString, c_char, c_int},
        fs::{self, OpenOptions},
        hint::black_box,
        io::{self, Write as _},
        process, thread,
        time::{Duration, SystemTime},
    };

    use clockjack_sdk::{Failure, log::Level};

    /// Never returns.
    pub fn spin() {
        let mut count = 0_u64;
        loop {
            count = black_box(count.wrapping_add(1));
        }
    }

    /// Takes and touches so many MiB, one after another, and returns how many there were.
    pub fn grow(mib: u32) -> u32 {
        let mut held: Vec<Vec<u8>> = Vec::new();
        for _ in 0..mib {
            held.push(black_box(vec![1; 1 << 20]));
        }
        held.len() as u32
    }

    /// Calls itself so many times. Uses no linear memory, so that only the call stack can overflow.
    pub fn recurse(n: u64) -> u64 {
        descend(n)
    }

    /// The rotation keeps the compiler from making a loop of it.
    #[inline(never)]
    fn descend(n: u64) -> u64 {
        if n == 0 { 1 } else { descend(n - 1).rotate_left(7) ^ n }
    }

    /// Panics, which is a trap after the message on stderr.
    pub fn panic(message: String) {
        panic!("{message}");
    }

    /// Prints so many bytes to stdout, in lines of 64.
    pub fn print(bytes: u64) -> Result<(), String> {
        let line = [b'x'; 63];
        let mut stdout = io::stdout().lock();
        let mut left = bytes;
        while 0 < left {
            let n_now = left.min(64) as usize;
            let written = if n_now == 64 {
                stdout.write_all(&line).and_then(|()| stdout.write_all(b"\n"))
            } else {
                stdout.write_all(&line[..n_now])
            };
            written.map_err(|error| format!("cannot print: {error}"))?;
            left -= n_now as u64;
        }
        stdout.flush().map_err(|error| format!("cannot print: {error}"))
    }

    /// Writes so many log lines of so many bytes.
    pub fn flood_log(lines: u32, bytes: u32) {
        let text = "x".repeat(bytes as usize);
        for number in 0..lines {
            clockjack_sdk::log::log(Level::Info, &text, &[("line", number.to_string())]);
        }
    }

    /// Sleeps in the host.
    pub fn sleep_ms(ms: u64) {
        thread::sleep(Duration::from_millis(ms));
    }

    /// Reads a file.
    pub fn read_file(path: String) -> Result<String, String> {
        fs::read_to_string(&path).map_err(|error| format!("cannot read `{path}`: {error}"))
    }

    /// Writes a file.
    pub fn write_file(path: String, text: String) -> Result<(), String> {
        fs::write(&path, text).map_err(|error| format!("cannot write `{path}`: {error}"))
    }

    /// Lists a folder, sorted.
    pub fn list_folder(path: String) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(&path).map_err(|error| format!("cannot list `{path}`: {error}"))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| format!("cannot list `{path}`: {error}"))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The environment that it sees.
    pub fn env() -> Vec<(String, String)> {
        env::vars().collect()
    }

    /// Ends the program in the middle of a call.
    pub fn exit(code: i32) {
        process::exit(code);
    }

    /// Returns a list of so many MiB.
    pub fn return_bytes(mib: u32) -> Vec<u8> {
        vec![7; (mib as usize) << 20]
    }

    /// Fails with each disposition: `permanent`, `retry`, `retry-after` (one second) or `skipped`.
    pub fn fail(kind: String, message: String) -> Result<(), Failure> {
        match kind.as_str() {
            "permanent" => Err(Failure::permanent(message)),
            "retry" => Err(Failure::retry(message)),
            "retry-after" => Err(Failure::retry_after(Duration::from_secs(1), message)),
            "skipped" => Err(Failure::skipped(message)),
            _ => Ok(()),
        }
    }

    /// Works until it is asked to stop, and says how often it asked.
    pub fn wait_for_cancel() -> u64 {
        let mut n_asked = 0;
        while !clockjack_sdk::cancel_requested() {
            n_asked += 1;
            thread::sleep(Duration::from_millis(5));
        }
        n_asked
    }

    /// What the folder says to each of these names: the text of the file, or why there is none.
    pub fn probe(paths: Vec<String>) -> Vec<String> {
        let read =
            |path: &String| fs::read_to_string(path).unwrap_or_else(|error| format!("refused: {:?}", error.kind()));
        paths.iter().map(read).collect()
    }

    /// Makes a name for something that has one: `rename`, `hard` or `symbolic`.
    pub fn link(kind: String, from: String, to: String) -> Result<(), String> {
        let done = match kind.as_str() {
            "rename" => fs::rename(&from, &to),
            "hard" => fs::hard_link(&from, &to),
            _ => symbolic_link(&from, &to),
        };
        done.map_err(|error| format!("{kind} from `{from}` to `{to}`: {error}"))
    }

    fn symbolic_link(from: &str, to: &str) -> io::Result<()> {
        unsafe extern "C" {
            fn symlink(target: *const c_char, name: *const c_char) -> c_int;
        }
        let (from, to) = (CString::new(from)?, CString::new(to)?);
        // SAFETY: both are texts that end with a zero, and the library keeps neither.
        match unsafe { symlink(from.as_ptr(), to.as_ptr()) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Changes a file that is there: `truncate`, `times` or `write`.
    pub fn change(kind: String, path: String) -> Result<(), String> {
        let open = || OpenOptions::new().write(kind != "times").read(kind == "times").open(&path);
        let changed = open().and_then(|mut file| match kind.as_str() {
            "truncate" => file.set_len(0),
            "times" => file.set_modified(SystemTime::UNIX_EPOCH),
            _ => file.write_all(b"changed"),
        });
        changed.map_err(|error| format!("{kind} of `{path}`: {error}"))
    }

    /// Reads a file so many times, and gives back the different texts that it saw.
    pub fn read_often(path: String, times: u32) -> Vec<String> {
        let mut seen = BTreeSet::new();
        for _ in 0..times {
            seen.extend(fs::read_to_string(&path));
        }
        seen.into_iter().take(8).collect()
    }

    /// Makes so many files of so many bytes each, or of a size without bytes.
    pub fn fill(folder: String, files: u32, bytes: u64, sparse: bool) -> Result<(), String> {
        let chunk = vec![b'x'; bytes.min(1 << 16) as usize];
        for number in 0..files {
            let path = format!("{folder}/{number}");
            let write = || -> io::Result<()> {
                let mut file = fs::File::create(&path)?;
                if sparse {
                    return file.set_len(bytes);
                }
                let mut left = bytes;
                while 0 < left {
                    let n_now = left.min(chunk.len() as u64);
                    file.write_all(&chunk[..n_now as usize])?;
                    left -= n_now;
                }
                Ok(())
            };
            write().map_err(|error| format!("cannot fill `{path}`: {error}"))?;
        }
        Ok(())
    }

    /// Makes a folder in a folder, so many times.
    pub fn deepen(folder: String, levels: u32) -> Result<(), String> {
        let mut path = folder;
        for _ in 0..levels {
            path.push_str("/d");
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(format!("cannot make a folder: {error}"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}
