//! Components that were built for another version of `clockjack:job` than this host's: which one, and what to do.
//!
//! The interfaces and functions that this host has are read from the very `wit/` folder that it was built with.

use wasmtime::{
    Engine,
    component::types::{ComponentInstance, ComponentItem},
};
use wit_parser::Resolve;

use crate::error::{LoadCode, LoadError};

/// The contract that this host was built with.
const SOURCES: [(&str, &str); 6] = [
    ("types.wit", include_str!("../../../../wit/types.wit")),
    ("run.wit", include_str!("../../../../wit/run.wit")),
    ("log.wit", include_str!("../../../../wit/log.wit")),
    ("state.wit", include_str!("../../../../wit/state.wit")),
    ("secrets.wit", include_str!("../../../../wit/secrets.wit")),
    ("world.wit", include_str!("../../../../wit/world.wit")),
];

/// Names that a message shows of each kind.
const NAMES_SHOWN_MAX: usize = 8;

/// Longest part of a name that a message shows.
const NAME_CHARS_MAX: usize = 80;

/// What is wrong with an import of `clockjack:job`, as far as it comes from another version of the package.
pub(crate) fn problem(engine: &Engine, import: &str, item: &ComponentItem) -> Option<LoadError> {
    let (package, rest) = import.split_once('/')?;
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let own = Own::read()?;
    if package != own.package {
        return None;
    }
    let (interface, version) = (cut(interface), cut(version));
    let (package, ours) = (&own.package, &own.version);
    if !are_compatible(&version, ours) {
        let theirs =
            if version.is_empty() { format!("{package} without a version") } else { format!("{package}@{version}") };
        let message = format!(
            "the component was built for `{theirs}`, of which it imports `{interface}`, and this host has `{package}@{ours}`"
        );
        return Some(refused(message, &version, &own));
    }
    let Some(known) = own.functions(&interface) else {
        let names: Vec<_> = own.interfaces.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "the component imports the interface `{interface}` of `{package}@{version}`; this host's `{package}@{ours}` has \
             {}",
            names.join(", ")
        );
        return Some(refused(message, &version, &own));
    };
    let ComponentItem::ComponentInstance(instance) = item else { return None };
    let missing = missing(engine, instance, known);
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "the component uses {} of `{package}/{interface}@{version}`, which this host's `{package}@{ours}` does not have",
        missing.join(", ")
    );
    Some(refused(message, &version, &own))
}

fn refused(message: String, version: &str, own: &Own) -> LoadError {
    let (package, ours) = (&own.package, &own.version);
    let rebuild = format!("build it with the SDK or the `wit/` folder of `{package}@{ours}`");
    let is_newer = numbers(version).zip(numbers(ours)).is_some_and(|(theirs, ours)| ours < theirs);
    let fix =
        if is_newer { format!("upgrade this host to one with `{package}@{version}`, or {rebuild}") } else { rebuild };
    LoadError::new(LoadCode::Import, message, fix)
}

/// The functions of an import that this host does not have.
fn missing(engine: &Engine, instance: &ComponentInstance, known: &[String]) -> Vec<String> {
    let functions = instance.exports(engine).filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)));
    let unknown = functions.filter(|(name, _)| !known.iter().any(|known| known == name));
    unknown.take(NAMES_SHOWN_MAX).map(|(name, _)| format!("`{}`", cut(name))).collect()
}

/// Versions that the linker takes for each other: of `0.x` the same `x`, later the same first number.
fn are_compatible(theirs: &str, ours: &str) -> bool {
    match (numbers(theirs), numbers(ours)) {
        (Some((0, theirs, _)), Some((0, ours, _))) => theirs == ours,
        (Some((theirs, ..)), Some((ours, ..))) => theirs == ours,
        (None, _) | (_, None) => theirs == ours,
    }
}

fn numbers(version: &str) -> Option<(u64, u64, u64)> {
    let mut parts = version.split('.').map(str::parse);
    let numbers = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some(numbers)
}

fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// The package of this host.
struct Own {
    package: String,
    version: String,
    interfaces: Vec<(String, Vec<String>)>,
}

impl Own {
    /// Read only where something is wrong already, so it need not be fast.
    fn read() -> Option<Self> {
        // One text may say only once which package it is.
        let mut whole = SOURCES[0].1.to_owned();
        SOURCES[1..].iter().for_each(|(_, text)| whole.push_str(text.split_once(';').map_or(*text, |(_, rest)| rest)));
        let mut resolve = Resolve::default();
        let id = resolve.push_str("clockjack-job.wit", &whole).ok()?;
        let package = &resolve.packages[id];
        let functions = |id| resolve.interfaces[id].functions.keys().cloned().collect();
        Some(Self {
            package: format!("{}:{}", package.name.namespace, package.name.name),
            version: package.name.version.as_ref()?.to_string(),
            interfaces: package.interfaces.iter().map(|(name, id)| (name.clone(), functions(*id))).collect(),
        })
    }

    fn functions(&self, interface: &str) -> Option<&[String]> {
        self.interfaces.iter().find(|(name, _)| name == interface).map(|(_, functions)| functions.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_is_read_whole() {
        let own = Own::read().unwrap();
        assert_eq!((own.package.as_str(), own.version.as_str()), ("clockjack:job", "0.1.0"));
        for interface in ["types", "run", "log", "state", "secrets"] {
            assert!(own.functions(interface).is_some(), "{interface}");
        }
        assert!(own.functions("run").unwrap().iter().any(|name| name == "cancel-requested"));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../wit");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".wit"))
            .collect();
        let mut known = SOURCES.map(|(name, _)| name.to_owned()).to_vec();
        files.sort();
        known.sort();
        assert_eq!(files, known);
    }

    #[test]
    fn versions_are_compatible_as_the_linker_says() {
        let cases = [
            ("0.1.0", "0.1.7", true),
            ("0.1.0", "0.2.0", false),
            ("1.0.0", "1.9.0", true),
            ("1.0.0", "2.0.0", false),
            ("", "0.1.0", false),
            ("0.1.0-rc1", "0.1.0", false),
        ];
        for (theirs, ours, expected) in cases {
            assert_eq!(are_compatible(theirs, ours), expected, "{theirs} {ours}");
        }
    }
}
