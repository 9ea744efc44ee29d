//! A plain WASI command without any SDK: prints what it was given and exits with the code in `--exit=N`.

use std::{
    env,
    io::{self, Read as _},
    process::ExitCode,
};

fn main() -> ExitCode {
    for arg in env::args().skip(1) {
        println!("arg {arg}");
    }
    for (name, value) in env::vars() {
        println!("env {name}={value}");
    }
    let mut input = String::new();
    match io::stdin().read_to_string(&mut input) {
        Ok(_) => println!("stdin {input}"),
        Err(error) => eprintln!("stdin cannot be read: {error}"),
    }
    let code = env::args().find_map(|arg| arg.strip_prefix("--exit=")?.parse().ok()).unwrap_or(0);
    eprintln!("exit {code}");
    ExitCode::from(code)
}
