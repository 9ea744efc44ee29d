//! Places at which a test can make the process vanish, as a power cut does.

/// Ends the process here if a test has set the fail point of this name to `return`; otherwise it is nothing.
macro_rules! crash_point {
    ($name:literal) => {{
        fn crash() {
            fail::fail_point!($name, |_| std::process::abort());
        }
        crash();
    }};
}
pub(crate) use crash_point;
