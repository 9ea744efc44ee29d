//! Standard interfaces on the same back ends as our own: `wasi:keyvalue` is the state of the job, `wasi:config` its
//! variables and secrets, `wasi:logging` its log. A component that knows nothing of us works unchanged.
//!
//! What is written through `wasi:keyvalue` is kept as everything else in the state is: with the success of the run.

use clockjack_schedule::{
    manifest::scalar::show_size,
    ports::{LogLevel, LogLine},
    state::{Draft, DraftError},
};
use wasmtime::component::{HasSelf, Linker, Resource};
use wasmtime_wasi::WasiView as _;

use self::bindings::wasi::{
    config::store as config,
    keyvalue::{
        atomics, batch,
        store::{self, Error, KeyResponse},
    },
    logging::logging,
};
use crate::{
    attempt::{GuestState, HOSTCALL_BYTES_MAX},
    guest_api::Closed,
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "wit",
        world: "clockjack:standard/standard",
        imports: {
            "wasi:keyvalue/store": async,
            "wasi:keyvalue/atomics": async,
            "wasi:keyvalue/batch": async,
        },
        with: { "wasi:keyvalue/store.bucket": super::Bucket },
    });
}

/// The one bucket that there is: the state of the job.
#[expect(unreachable_pub, reason = "the generated code re-exports it")]
pub struct Bucket;

/// What the bucket may be called.
const BUCKETS: [&str; 2] = ["", "default"];

/// How many keys one page of a list has.
const PAGE: usize = 1_000;

pub(crate) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    atomics::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    batch::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    config::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)?;
    logging::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        match closed {
            Closed::Denied => Self::AccessDenied,
            Closed::Unavailable(why) => Self::Other(why),
        }
    }
}

impl From<DraftError> for Error {
    fn from(error: DraftError) -> Self {
        Self::Other(error.to_string())
    }
}

fn value(draft: &Draft, key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(draft.get(key)?.map(|entry| entry.value.to_vec()))
}

impl store::Host for GuestState {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        self.draft().await?;
        if !BUCKETS.contains(&identifier.as_str()) {
            return Err(Error::NoSuchStore);
        }
        self.ctx().table.push(Bucket).map_err(|error| Error::Other(error.to_string()))
    }
}

impl store::HostBucket for GuestState {
    async fn get(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        value(self.draft().await?, &key)
    }

    async fn set(&mut self, _bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        Ok(self.draft().await?.set(&key, value)?)
    }

    async fn delete(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<(), Error> {
        Ok(self.draft().await?.delete(&key)?)
    }

    async fn exists(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<bool, Error> {
        Ok(self.draft().await?.get(&key)?.is_some())
    }

    /// The cursor says how many keys were given already.
    async fn list_keys(&mut self, _bucket: Resource<Bucket>, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        let draft = self.draft().await?;
        let mut n_left = cursor.and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or_default();
        let mut after: Option<String> = None;
        while 0 < n_left {
            let given = draft.list("", after.as_deref(), n_left.min(PAGE));
            n_left -= given.len();
            match given.into_iter().last() {
                Some(last) => after = Some(last),
                None => return Ok(KeyResponse { keys: Vec::new(), cursor: None }),
            }
        }
        let keys = draft.list("", after.as_deref(), PAGE);
        let n_given = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        let cursor = (keys.len() == PAGE).then(|| cursor.unwrap_or_default().saturating_add(n_given));
        Ok(KeyResponse { keys, cursor })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        self.ctx().table.delete(bucket)?;
        Ok(())
    }
}

impl atomics::Host for GuestState {
    /// Numbers are decimal text, as in the engine's own implementation. Where another run of the job writes the key before
    /// this one is kept, this attempt fails, so that no increment is lost.
    async fn increment(&mut self, _bucket: Resource<Bucket>, key: String, delta: u64) -> Result<u64, Error> {
        let draft = self.draft().await?;
        let entry = draft.get(&key)?;
        let version = entry.as_ref().map(|entry| entry.version);
        let number = match &entry {
            Some(entry) => std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<u64>().ok()),
            None => Some(0),
        };
        let Some(number) = number else { return Err(Error::Other(format!("`{key}` holds no number"))) };
        let Some(sum) = number.checked_add(delta) else {
            return Err(Error::Other(format!("`{key}` would be greater than 64 bits can hold")));
        };
        draft.compare_and_set(&key, version, sum.to_string().into_bytes())?;
        Ok(sum)
    }
}

impl batch::Host for GuestState {
    async fn get_many(
        &mut self,
        _bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        let draft = self.draft().await?;
        let (mut found, mut n_bytes) = (Vec::new(), 0_usize);
        for key in keys {
            let value = value(draft, &key)?;
            // What is too large to cross over is not even put together: a key may be asked for again and again.
            n_bytes += size_of::<Option<(String, Vec<u8>)>>() + key.len() + value.as_ref().map_or(0, Vec::len);
            if HOSTCALL_BYTES_MAX < n_bytes {
                let most = show_size(u64::try_from(HOSTCALL_BYTES_MAX).unwrap_or(u64::MAX));
                return Err(Error::Other(format!("one call gives {most} at most: ask for fewer keys")));
            }
            found.push(value.map(|value| (key, value)));
        }
        Ok(found)
    }

    async fn set_many(&mut self, _bucket: Resource<Bucket>, pairs: Vec<(String, Vec<u8>)>) -> Result<(), Error> {
        let draft = self.draft().await?;
        for (key, value) in pairs {
            draft.set(&key, value)?;
        }
        Ok(())
    }

    async fn delete_many(&mut self, _bucket: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        let draft = self.draft().await?;
        for key in keys {
            draft.delete(&key)?;
        }
        Ok(())
    }
}

impl config::Host for GuestState {
    fn get(&mut self, key: String) -> Result<Option<String>, config::Error> {
        match self.secrets.get(&key) {
            Some(Ok(secret)) => Ok(Some(secret.reveal().to_owned())),
            Some(Err(why)) => Err(config::Error::Upstream(why.to_owned())),
            None => Ok(self.variables().find(|(name, _)| **name == key).map(|(_, value)| value.to_owned())),
        }
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, config::Error> {
        let secrets = self.secrets.named().map(|(name, value)| (name.to_string(), value.reveal().to_owned()));
        let variables = self.variables().map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(variables.chain(secrets).collect())
    }
}

impl GuestState {
    /// The variables that the job was granted, those that hold secrets included.
    fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        let plain = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        plain.chain(self.secrets.variables().map(|(name, value)| (name, value.reveal())))
    }
}

impl logging::Host for GuestState {
    fn log(&mut self, level: logging::Level, context: String, message: String) {
        let level = match level {
            logging::Level::Trace => LogLevel::Trace,
            logging::Level::Debug => LogLevel::Debug,
            logging::Level::Info => LogLevel::Info,
            logging::Level::Warn => LogLevel::Warn,
            logging::Level::Error | logging::Level::Critical => LogLevel::Error,
        };
        let fields = if context.is_empty() { Vec::new() } else { vec![("context".to_owned(), context)] };
        let at = self.now();
        self.logs.push(LogLine { at, level, message, fields });
    }
}
