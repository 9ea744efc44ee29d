//! Standard interfaces on the same back ends as our own: `wasi:keyvalue` is the state of the job, `wasi:config` its
//! variables and secrets, `wasi:logging` its log. A component that knows nothing of us works unchanged.
//!
//! What is written through `wasi:keyvalue` is kept as everything else in the state is: with the success of the run.

use clockjack_schedule::{
    manifest::scalar::show_size,
    ports::{LogLevel, LogLine},
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
    worker::wire::{StateCall, StateFault},
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

impl From<StateFault> for Error {
    fn from(fault: StateFault) -> Self {
        match fault {
            StateFault::Denied => Self::AccessDenied,
            StateFault::Unavailable(why) => Self::Other(why),
            StateFault::Key(_) | StateFault::Quota(_) | StateFault::Keys | StateFault::Conflict(_) => {
                Self::Other(fault.to_string())
            }
        }
    }
}

impl store::Host for GuestState {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Error> {
        self.ask_state(StateCall::Open).await?;
        if !BUCKETS.contains(&identifier.as_str()) {
            return Err(Error::NoSuchStore);
        }
        self.ctx().table.push(Bucket).map_err(|error| Error::Other(error.to_string()))
    }
}

impl store::HostBucket for GuestState {
    async fn get(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.value(key).await?.map(|value| value.value))
    }

    async fn set(&mut self, _bucket: Resource<Bucket>, key: String, value: Vec<u8>) -> Result<(), Error> {
        self.ask_state(StateCall::Set { key, value }).await?;
        Ok(())
    }

    async fn delete(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<(), Error> {
        self.ask_state(StateCall::Delete { key }).await?;
        Ok(())
    }

    async fn exists(&mut self, _bucket: Resource<Bucket>, key: String) -> Result<bool, Error> {
        Ok(self.value(key).await?.is_some())
    }

    /// The cursor says how many keys were given already.
    async fn list_keys(&mut self, _bucket: Resource<Bucket>, cursor: Option<u64>) -> Result<KeyResponse, Error> {
        let mut n_left = cursor.and_then(|cursor| usize::try_from(cursor).ok()).unwrap_or_default();
        let mut after: Option<String> = None;
        while 0 < n_left {
            let given = self.keys(String::new(), after.clone(), n_left.min(PAGE)).await?;
            n_left -= given.len();
            match given.into_iter().last() {
                Some(last) => after = Some(last),
                None => return Ok(KeyResponse { keys: Vec::new(), cursor: None }),
            }
        }
        let keys = self.keys(String::new(), after, PAGE).await?;
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
        let entry = self.value(key.clone()).await?;
        let version = entry.as_ref().map(|entry| entry.version);
        let number = match &entry {
            Some(entry) => std::str::from_utf8(&entry.value).ok().and_then(|text| text.parse::<u64>().ok()),
            None => Some(0),
        };
        let Some(number) = number else { return Err(Error::Other(format!("`{key}` holds no number"))) };
        let Some(sum) = number.checked_add(delta) else {
            return Err(Error::Other(format!("`{key}` would be greater than 64 bits can hold")));
        };
        let value = sum.to_string().into_bytes();
        self.ask_state(StateCall::CompareAndSet { key, expected: version, value }).await?;
        Ok(sum)
    }
}

impl batch::Host for GuestState {
    async fn get_many(
        &mut self,
        _bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Error> {
        self.ask_state(StateCall::Open).await?;
        let (mut found, mut n_bytes) = (Vec::new(), 0_usize);
        for key in keys {
            let value = self.value(key.clone()).await?.map(|value| value.value);
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
        self.ask_state(StateCall::Open).await?;
        for (key, value) in pairs {
            self.ask_state(StateCall::Set { key, value }).await?;
        }
        Ok(())
    }

    async fn delete_many(&mut self, _bucket: Resource<Bucket>, keys: Vec<String>) -> Result<(), Error> {
        self.ask_state(StateCall::Open).await?;
        for key in keys {
            self.ask_state(StateCall::Delete { key }).await?;
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
        self.log(LogLine { at, level, message, fields });
    }
}
