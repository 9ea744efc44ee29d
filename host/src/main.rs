//! The `clockjack` binary: everything it does is in the library.

/// Workers free what the ring allocated and the other way round, which the system's allocator is slow at: without this
/// one a run costs about a tenth more (`cargo bench -p clockjack --bench end_to_end`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    clockjack::cli::main()
}
