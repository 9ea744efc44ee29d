//! The functions of `clockjack:job@0.1.0` as a component imports them, and what stands in for them natively.
#![cfg_attr(target_arch = "wasm32", expect(unsafe_code, reason = "imports of the host are foreign functions"))]

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use crate::testing::{
    cancel_requested, context, heartbeat, log, progress, random_seed, secrets, state, time_left,
};
#[cfg(target_arch = "wasm32")]
pub(crate) use component::{
    cancel_requested, context, heartbeat, log, progress, random_seed, secrets, state, time_left,
};

#[cfg(target_arch = "wasm32")]
mod component {
    use crate::{Context, Level, context::RawContext, rt::memory::receive};

    /// The encoded world `clockjack:job/job`, made from `wit/` by `tests/wit.rs`. The linker reads it; imports that
    /// a plugin does not use are left out of its component.
    #[used]
    #[unsafe(link_section = "component-type:clockjack-sdk:job@0.1.0")]
    static WORLD: [u8; include_bytes!("job.world").len()] = *include_bytes!("job.world");

    /// Every import calls this, so that the object file with `WORLD` is linked.
    #[inline(never)]
    fn link_world() {}

    mod raw {
        #[link(wasm_import_module = "clockjack:job/run@0.1.0")]
        unsafe extern "C" {
            #[link_name = "context"]
            pub(super) fn context(result: *mut u8);
            #[link_name = "cancel-requested"]
            pub(super) safe fn cancel_requested() -> i32;
            #[link_name = "time-left"]
            pub(super) safe fn time_left() -> i64;
            #[link_name = "progress"]
            pub(super) fn progress(
                done: i64,
                has_total: i32,
                total: i64,
                has_message: i32,
                message: *const u8,
                len: usize,
            );
            #[link_name = "heartbeat"]
            pub(super) safe fn heartbeat();
            #[link_name = "random-seed"]
            pub(super) safe fn random_seed() -> i64;
        }

        #[link(wasm_import_module = "clockjack:job/log@0.1.0")]
        unsafe extern "C" {
            #[link_name = "log"]
            pub(super) fn log(level: i32, message: *const u8, len: usize, fields: *const [usize; 4], n_fields: usize);
        }
    }

    pub(crate) fn context() -> Context {
        link_world();
        // SAFETY: the host writes one `context` record, for which there is room.
        receive::<RawContext>(|result| unsafe { raw::context(result) }).into()
    }

    pub(crate) fn cancel_requested() -> bool {
        link_world();
        raw::cancel_requested() != 0
    }

    pub(crate) fn time_left() -> u64 {
        link_world();
        raw::time_left() as u64
    }

    pub(crate) fn progress(done: u64, total: Option<u64>, message: Option<&str>) {
        link_world();
        let text = message.unwrap_or_default();
        // SAFETY: the text outlives the call.
        unsafe {
            raw::progress(
                done as i64,
                i32::from(total.is_some()),
                total.unwrap_or_default() as i64,
                i32::from(message.is_some()),
                text.as_ptr(),
                text.len(),
            );
        }
    }

    pub(crate) fn heartbeat() {
        link_world();
        raw::heartbeat();
    }

    pub(crate) fn random_seed() -> u64 {
        link_world();
        raw::random_seed() as u64
    }

    pub(crate) fn log(level: Level, message: &str, fields: &[(&str, String)]) {
        link_world();
        let raw_fields: Vec<[usize; 4]> = fields
            .iter()
            .map(|(key, value)| [key.as_ptr() as usize, key.len(), value.as_ptr() as usize, value.len()])
            .collect();
        // SAFETY: message and fields outlive the call; a field is two strings, each an address and a length.
        unsafe { raw::log(level as i32, message.as_ptr(), message.len(), raw_fields.as_ptr(), raw_fields.len()) };
    }

    /// `clockjack:job/state`. A plugin that calls none of these does not import the interface.
    pub(crate) mod state {
        use super::link_world;
        use crate::{
            rt::{Payload, memory},
            state::{Error, RawEntry, RawError},
        };

        mod raw {
            #[link(wasm_import_module = "clockjack:job/state@0.1.0")]
            unsafe extern "C" {
                #[link_name = "get"]
                pub(super) fn get(key: *const u8, len: usize, result: *mut u8);
                #[link_name = "set"]
                pub(super) fn set(key: *const u8, len: usize, value: *const u8, value_len: usize, result: *mut u8);
                #[link_name = "compare-and-set"]
                pub(super) fn compare_and_set(
                    key: *const u8,
                    len: usize,
                    has_expected: i32,
                    expected: i64,
                    value: *const u8,
                    value_len: usize,
                    result: *mut u8,
                );
                #[link_name = "delete"]
                pub(super) fn delete(key: *const u8, len: usize, result: *mut u8);
                #[link_name = "list"]
                pub(super) fn list(
                    prefix: *const u8,
                    len: usize,
                    has_after: i32,
                    after: *const u8,
                    after_len: usize,
                    limit: i32,
                    result: *mut u8,
                );
                #[link_name = "commit"]
                pub(super) fn commit(result: *mut u8);
            }
        }

        fn receive<T: Payload>(call: impl FnOnce(*mut u8)) -> Result<T, Error> {
            memory::receive::<Result<T, RawError>>(call).map_err(Error::from)
        }

        // In each of these the texts outlive the call, and the host writes one result of the type that is received.

        pub(crate) fn get(key: &str) -> Result<Option<RawEntry>, Error> {
            link_world();
            // SAFETY: see above.
            receive(|result| unsafe { raw::get(key.as_ptr(), key.len(), result) })
        }

        pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
            link_world();
            // SAFETY: see above.
            receive(|result| unsafe { raw::set(key.as_ptr(), key.len(), value.as_ptr(), value.len(), result) })
        }

        pub(crate) fn compare_and_set(key: &str, expected: Option<u64>, value: &[u8]) -> Result<(), Error> {
            link_world();
            let (has_expected, version) = (i32::from(expected.is_some()), expected.unwrap_or_default() as i64);
            // SAFETY: see above.
            receive(|result| unsafe {
                let (value, value_len) = (value.as_ptr(), value.len());
                raw::compare_and_set(key.as_ptr(), key.len(), has_expected, version, value, value_len, result);
            })
        }

        pub(crate) fn delete(key: &str) -> Result<(), Error> {
            link_world();
            // SAFETY: see above.
            receive(|result| unsafe { raw::delete(key.as_ptr(), key.len(), result) })
        }

        pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
            link_world();
            let (has_after, after) = (i32::from(after.is_some()), after.unwrap_or_default());
            // SAFETY: see above.
            receive(|result| unsafe {
                let (after, after_len) = (after.as_ptr(), after.len());
                raw::list(prefix.as_ptr(), prefix.len(), has_after, after, after_len, limit as i32, result);
            })
        }

        pub(crate) fn commit() -> Result<(), Error> {
            link_world();
            // SAFETY: see above.
            receive(|result| unsafe { raw::commit(result) })
        }
    }

    /// `clockjack:job/secrets`. A plugin that does not call this does not import the interface.
    pub(crate) mod secrets {
        use super::{link_world, receive};
        use crate::secrets::RawError;

        mod raw {
            #[link(wasm_import_module = "clockjack:job/secrets@0.1.0")]
            unsafe extern "C" {
                #[link_name = "get"]
                pub(super) fn get(name: *const u8, len: usize, result: *mut u8);
            }
        }

        pub(crate) fn get(name: &str) -> Result<String, RawError> {
            link_world();
            // SAFETY: the name outlives the call, and the host writes one result of this type.
            receive(|result| unsafe { raw::get(name.as_ptr(), name.len(), result) })
        }
    }
}
