//! The `clockjack` binary: everything it does is in the library.

fn main() -> std::process::ExitCode {
    clockjack::cli::main()
}
