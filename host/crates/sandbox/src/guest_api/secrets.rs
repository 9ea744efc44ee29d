//! `clockjack:job/secrets`: passwords, tokens and keys that the manifest grants by name.

use wasmtime::component::{HasSelf, Linker};

use super::bindings::clockjack::job::secrets::{self, Error};
use crate::attempt::GuestState;

pub(super) fn add_to_linker(linker: &mut Linker<GuestState>) -> wasmtime::Result<()> {
    secrets::add_to_linker::<_, HasSelf<_>>(linker, GuestState::counted)
}

impl secrets::Host for GuestState {
    fn get(&mut self, name: String) -> Result<String, Error> {
        match self.secrets.get(&name) {
            Some(Ok(value)) => Ok(value.reveal().to_owned()),
            Some(Err(why)) => Err(Error::Unavailable(why.to_owned())),
            None => Err(Error::Denied),
        }
    }
}
