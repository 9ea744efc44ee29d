//! The state and the secrets of one thread: the rules of `wit/state.wit` and `wit/secrets.wit` over a map.

use std::{cell::RefCell, collections::BTreeMap};

use crate::state::Error;

/// What is written: values with their versions.
type Values = BTreeMap<String, (Vec<u8>, u64)>;

struct Books {
    /// As this attempt sees them.
    values: Values,
    /// As they are when the attempt fails.
    kept: Values,
    /// The last version that was given; one counter for all keys, so that none comes back.
    version: u64,
    quota: u64,
    error: Option<Error>,
    secrets: BTreeMap<String, Result<String, String>>,
}

thread_local! {
    static BOOKS: RefCell<Books> = const {
        RefCell::new(Books {
            values: Values::new(),
            kept: Values::new(),
            version: 0,
            quota: u64::MAX,
            error: None,
            secrets: BTreeMap::new(),
        })
    };
}

/// The longest key in bytes, as the interface has it.
const KEY_BYTES_MAX: usize = 256;
/// The longest list of keys.
const LIST_KEYS_MAX: usize = 1_000;

impl Books {
    /// Whether a call with this key may go on.
    fn check(&self, key: &str) -> Result<(), Error> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        match key.len() {
            0 => Err(Error::InvalidKey("it is empty".to_owned())),
            1..=KEY_BYTES_MAX => Ok(()),
            n => Err(Error::InvalidKey(format!("it has {n} bytes; at most {KEY_BYTES_MAX} are allowed"))),
        }
    }

    fn write(&mut self, key: &str, value: &[u8]) -> Result<(), Error> {
        let others = self.values.iter().filter(|(other, _)| *other != key);
        let bytes: usize = others.map(|(other, (value, _))| other.len() + value.len()).sum();
        if self.quota < (bytes + key.len() + value.len()) as u64 {
            return Err(Error::Quota(self.quota));
        }
        self.version += 1;
        self.values.insert(key.to_owned(), (value.to_vec(), self.version));
        Ok(())
    }
}

pub(super) fn keep() {
    BOOKS.with_borrow_mut(|books| books.kept = books.values.clone());
}

pub(super) fn drop_writes() {
    BOOKS.with_borrow_mut(|books| books.values = books.kept.clone());
}

pub(super) fn put(key: &str, value: &[u8]) {
    BOOKS.with_borrow_mut(|books| {
        books.version += 1;
        let entry = (value.to_vec(), books.version);
        books.values.insert(key.to_owned(), entry.clone());
        books.kept.insert(key.to_owned(), entry);
    });
}

pub(super) fn set_quota(bytes: u64) {
    BOOKS.with_borrow_mut(|books| books.quota = bytes);
}

pub(super) fn fail_state(error: Option<Error>) {
    BOOKS.with_borrow_mut(|books| books.error = error);
}

pub(super) fn set_secret(name: &str, value: Result<&str, &str>) {
    let value = value.map(ToOwned::to_owned).map_err(ToOwned::to_owned);
    BOOKS.with_borrow_mut(|books| books.secrets.insert(name.to_owned(), value));
}

/// Stands in for the imports of `clockjack:job/state`.
pub(crate) mod state {
    use super::{BOOKS, LIST_KEYS_MAX};
    use crate::state::{Error, RawEntry};

    pub(crate) fn get(key: &str) -> Result<Option<RawEntry>, Error> {
        BOOKS.with_borrow(|books| {
            books.check(key)?;
            let entry = books.values.get(key).cloned();
            Ok(entry.map(|(value, version)| RawEntry { value, version }))
        })
    }

    pub(crate) fn set(key: &str, value: &[u8]) -> Result<(), Error> {
        BOOKS.with_borrow_mut(|books| {
            books.check(key)?;
            books.write(key, value)
        })
    }

    pub(crate) fn compare_and_set(key: &str, expected: Option<u64>, value: &[u8]) -> Result<(), Error> {
        BOOKS.with_borrow_mut(|books| {
            books.check(key)?;
            let version = books.values.get(key).map(|(_, version)| *version);
            if version == expected { books.write(key, value) } else { Err(Error::Conflict(version)) }
        })
    }

    pub(crate) fn delete(key: &str) -> Result<(), Error> {
        BOOKS.with_borrow_mut(|books| {
            books.check(key)?;
            books.values.remove(key);
            Ok(())
        })
    }

    pub(crate) fn list(prefix: &str, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        BOOKS.with_borrow(|books| {
            if let Some(error) = &books.error {
                return Err(error.clone());
            }
            let keys = books.values.keys().filter(|key| key.starts_with(prefix));
            let keys = keys.filter(|key| after.is_none_or(|after| after < key.as_str()));
            Ok(keys.take(LIST_KEYS_MAX.min(limit as usize)).cloned().collect())
        })
    }

    pub(crate) fn commit() -> Result<(), Error> {
        if let Some(error) = BOOKS.with_borrow(|books| books.error.clone()) {
            return Err(error);
        }
        super::keep();
        Ok(())
    }
}

/// Stands in for the import of `clockjack:job/secrets`.
pub(crate) mod secrets {
    use super::BOOKS;
    use crate::secrets::RawError;

    pub(crate) fn get(name: &str) -> Result<String, RawError> {
        match BOOKS.with_borrow(|books| books.secrets.get(name).cloned()) {
            None => Err(RawError::Denied),
            Some(Ok(value)) => Ok(value),
            Some(Err(reason)) => Err(RawError::Unavailable(reason)),
        }
    }
}
