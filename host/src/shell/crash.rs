//! Points at which a test lets the process die, as if it had been killed there. Without the feature of the crate `fail`,
//! which only test builds have, they are nothing at all.

/// Ends the process on the spot where a test asks for it: `FAILPOINTS="recorder::before_commit=5*off->return"`.
macro_rules! crash_point {
    ($name:literal) => {
        fail::fail_point!($name, |_| std::process::abort())
    };
}

pub(super) use crash_point;
