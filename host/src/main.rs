//! The `clockjack` binary: everything it does is in the library.

/// Workers free what the ring allocated and the other way round, which the system's allocator is slow at: without this
/// one a run costs about a tenth more (`cargo bench -p clockjack --bench end_to_end`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // Only test builds have fail points, and read from `FAILPOINTS` which of them are to end the process.
    let _fail_points = fail::has_failpoints().then(fail::FailScenario::setup);
    clockjack::cli::main()
}
