//! What a component imports: the base line of the language runtimes, our own interfaces, or something that is not here.

use clockjack_schedule::job::Grants;
use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use crate::{
    error::{LoadCode, LoadError, shown, shown_message},
    own_package,
};

/// Packages that every language runtime drags in. They are always linked, and closed inside.
const BASE_LINE: [&str; 7] =
    ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:http", "wasi:io", "wasi:random", "wasi:sockets"];

/// The side of HTTP that takes requests: a job answers nobody.
const INCOMING: &str = "wasi:http/incoming-handler";

/// Our own package, and the version that this host speaks.
const OWN_PACKAGE: &str = "clockjack:job";
const OWN_VERSION: &str = "0.1.0";

/// Interfaces that a component may have without using them, with the key that opens them. JavaScript's runtime always
/// asks for HTTP, so that its absence among the grants is no error: it is closed inside, and a use of it is told.
const OPENED_BY: [(&str, &str); 1] = [("wasi:http/outgoing-handler", "grants.http")];

/// Interfaces that are linked, and closed inside without a grant: the state of the job, and secrets.
const STATE: [&str; 2] = ["clockjack:job/state", "wasi:keyvalue"];

/// Standard interfaces that stand on our own back ends, in the versions that are linked.
const STANDARD: [&str; 5] = [
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:logging/logging@0.1.0-draft",
];

const SECRETS: [&str; 1] = ["clockjack:job/secrets"];

/// What a component asks for and the job does not have: the key to add, the message and what to do.
pub(crate) fn missing_grants(imports: &[String], grants: &Grants) -> Vec<(&'static str, String, String)> {
    let mut missing = Vec::new();
    let asked =
        |packages: &[&str]| imports.iter().find(|name| packages.iter().any(|package| has_prefix(name, package)));
    if let Some(name) = asked(&STATE).filter(|_| !grants.state) {
        let message = format!("the component imports `{name}`, which needs the grant `state`");
        missing.push(("grants.state", message, "add `grants: { state: true }`".to_owned()));
    }
    if let Some(name) = asked(&SECRETS).filter(|_| grants.secrets.by_name.is_empty()) {
        let message =
            format!("the component imports `{name}`, which needs at least one secret under the grant `secrets`");
        let fix = "add `grants: { secrets: [NAME] }`, and the name at the top: `secrets: { NAME: { env: VARIABLE } }`";
        missing.push(("grants.secrets", message, fix.to_owned()));
    }
    missing
}

/// The names of everything that a component imports.
pub(crate) fn names(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let asks_for_code = |item: &ComponentItem| !matches!(item, ComponentItem::Type(_));
    ty.imports(engine).filter(|(_, item)| asks_for_code(&item.ty)).map(|(name, _)| name.to_owned()).collect()
}

/// Interfaces that every language runtime imports; they say nothing about what a plugin wants.
#[must_use]
pub fn is_base_line(import: &str) -> bool {
    import == "wasi_snapshot_preview1"
        || ["wasi:cli/", "wasi:clocks/", "wasi:filesystem/", "wasi:io/", "wasi:random/", "wasi:sockets/"]
            .iter()
            .any(|package| import.starts_with(package))
}

/// The manifest key that grants what an import asks for; absent for one that needs no grant.
#[must_use]
pub fn grant_of(import: &str) -> Option<&'static str> {
    let own = [(STATE.as_slice(), "grants.state"), (SECRETS.as_slice(), "grants.secrets")];
    let own = own.iter().find(|(packages, _)| packages.iter().any(|package| has_prefix(import, package)));
    own.map(|(_, key)| *key)
}

/// The manifest key that opens what an import can do, for one that a component may have without using it.
#[must_use]
pub fn opened_by(import: &str) -> Option<&'static str> {
    OPENED_BY.iter().find(|(interface, _)| has_prefix(import, interface)).map(|(_, key)| *key)
}

/// Explains why a component cannot be linked.
pub(crate) fn explain(engine: &Engine, component: &Component, error: &wasmtime::Error) -> LoadError {
    let ty = component.component_type();
    if let Some(problem) = ty.imports(engine).find_map(|(name, item)| own_package::problem(engine, name, &item.ty)) {
        return problem;
    }
    let foreign = ty.imports(engine).find(|(name, item)| !is_known(name, &item.ty));
    let Some((name, _)) = foreign else {
        let fix = "build the component against WASI 0.2 and the `wit/` folder of this host";
        return LoadError::new(
            LoadCode::Type,
            format!("an import has another type than this host's: {}", shown_message(&format!("{error:#}"))),
            fix,
        );
    };
    let (plain, name) = (name, shown(name));
    if has_prefix(plain, INCOMING) {
        let message = format!("the component imports `{name}`: it wants to be called by HTTP, which no job is");
        let fix = "build it without that import; requests to others go through `wasi:http/outgoing-handler`";
        return LoadError::new(LoadCode::Import, message, fix);
    }
    let wasi_3 = name.starts_with("wasi:") && name.contains("@0.3");
    let fix = if wasi_3 {
        "build it for WASI 0.2 (`wasm32-wasip2`); WASI 0.3 is still experimental in the engine".to_owned()
    } else {
        format!("compose the component with one that exports `{name}`, or build it without that import")
    };
    LoadError::new(LoadCode::Import, format!("the component imports `{name}`, which this host does not have"), fix)
}

fn has_prefix(name: &str, package: &str) -> bool {
    name.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '@']))
}

fn is_known(name: &str, item: &ComponentItem) -> bool {
    match item {
        // Types of the world itself: words, not code.
        ComponentItem::Type(_) => return true,
        ComponentItem::ComponentInstance(_) => {}
        ComponentItem::ComponentFunc(_)
        | ComponentItem::CoreFunc(_)
        | ComponentItem::Module(_)
        | ComponentItem::Component(_)
        | ComponentItem::Resource(_) => return false,
    }
    if has_prefix(name, INCOMING) {
        return false;
    }
    let base_line = BASE_LINE.iter().any(|package| has_prefix(name, package)) && name.contains("@0.2");
    let own = ["types", "run", "log", "state", "secrets"]
        .iter()
        .any(|interface| name == format!("{OWN_PACKAGE}/{interface}@{OWN_VERSION}"));
    base_line || own || STANDARD.contains(&name)
}
