//! The secrets of one attempt: read when it begins, given to it by name, and taken out of everything that it leaves.

use std::{collections::BTreeMap, sync::Arc};

use clockjack_schedule::{
    ports::Vault,
    secret::{SecretGrants, SecretName, SecretText},
};

use crate::redact::Redactor;

/// The values that an attempt was granted, or why they cannot be had.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    by_name: BTreeMap<SecretName, Result<SecretText, String>>,
    by_variable: BTreeMap<String, (SecretName, SecretText)>,
}

impl Secrets {
    /// Reads what is granted.
    ///
    /// # Errors
    /// When a variable cannot be set: a command would run with a part of its environment.
    pub(crate) fn read(grants: &SecretGrants, vault: Option<&Arc<dyn Vault>>) -> Result<Self, String> {
        let mut secrets = Self::default();
        let read = |source| match vault {
            Some(vault) => vault.read(source),
            None => Err("this host has no secrets".to_owned()),
        };
        for (name, source) in &grants.by_name {
            secrets.by_name.insert(name.clone(), read(source));
        }
        for (variable, (name, source)) in &grants.by_variable {
            let value = read(source)
                .map_err(|problem| format!("the secret `{name}` (`grants.env.{variable}`) cannot be had: {problem}"))?;
            if value.reveal().contains('\0') {
                return Err(format!("the secret `{name}` (`grants.env.{variable}`) holds a zero byte"));
            }
            secrets.by_variable.insert(variable.clone(), (name.clone(), value));
        }
        Ok(secrets)
    }

    /// Values that were read before, in another process.
    pub(crate) fn of(
        by_name: BTreeMap<SecretName, Result<SecretText, String>>,
        by_variable: BTreeMap<String, (SecretName, SecretText)>,
    ) -> Self {
        Self { by_name, by_variable }
    }

    /// All that are granted by name.
    pub(crate) fn by_name(&self) -> &BTreeMap<SecretName, Result<SecretText, String>> {
        &self.by_name
    }

    /// All that stand in variables.
    pub(crate) fn by_variable(&self) -> &BTreeMap<String, (SecretName, SecretText)> {
        &self.by_variable
    }

    /// The value of a secret, or why it cannot be had now; nothing where it is not granted.
    pub(crate) fn get(&self, name: &str) -> Option<Result<&SecretText, &str>> {
        self.by_name.get(name).map(|value| value.as_ref().map_err(String::as_str))
    }

    /// Those that are granted by name and can be had.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&SecretName, &SecretText)> {
        self.by_name.iter().filter_map(|(name, value)| Some((name, value.as_ref().ok()?)))
    }

    /// The variables that hold secrets.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &SecretText)> {
        self.by_variable.iter().map(|(variable, (_, value))| (variable.as_str(), value))
    }

    /// What takes the values out of texts; nothing where there are none.
    pub(crate) fn redactor(&self) -> Option<Redactor> {
        let in_variables = self.by_variable.values().map(|(name, value)| (name, value));
        Redactor::new(self.named().chain(in_variables))
    }
}
