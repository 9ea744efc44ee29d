//! What a component imports: the base line of the language runtimes, our own interfaces, or something that is not here.

use wasmtime::{
    Engine,
    component::{Component, types::ComponentItem},
};

use crate::{
    error::{LoadCode, LoadError},
    own_package,
};

/// Packages that every language runtime drags in. They are always linked, and closed inside.
const BASE_LINE: [&str; 6] = ["wasi:cli", "wasi:clocks", "wasi:filesystem", "wasi:io", "wasi:random", "wasi:sockets"];

/// Our own package, and the version that this host speaks.
const OWN_PACKAGE: &str = "clockjack:job";
const OWN_VERSION: &str = "0.1.0";

/// Interfaces that are requests for something, with the manifest key that would grant it.
const REQUESTS: [(&str, &str); 6] = [
    ("wasi:http", "grants.http"),
    ("wasi:keyvalue", "grants.state"),
    ("wasi:config", "grants.config"),
    ("wasi:logging", "grants.logging"),
    ("clockjack:job/state", "grants.state"),
    ("clockjack:job/secrets", "grants.secrets"),
];

/// The names of everything that a component imports.
pub(crate) fn names(engine: &Engine, component: &Component) -> Vec<String> {
    let ty = component.component_type();
    let asks_for_code = |item: &ComponentItem| !matches!(item, ComponentItem::Type(_));
    ty.imports(engine).filter(|(_, item)| asks_for_code(&item.ty)).map(|(name, _)| name.to_owned()).collect()
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
        return LoadError::new(LoadCode::Type, format!("an import has another type than this host's: {error:#}"), fix);
    };
    if let Some((_, key)) = REQUESTS.iter().find(|(prefix, _)| has_prefix(name, prefix)) {
        let message = format!("the component imports `{name}`, which needs the grant `{key}`");
        let fix = format!("this version of Clockjack cannot give `{key}`; build the component without that import");
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
    let base_line = BASE_LINE.iter().any(|package| has_prefix(name, package)) && name.contains("@0.2");
    let own =
        ["types", "run", "log"].iter().any(|interface| name == format!("{OWN_PACKAGE}/{interface}@{OWN_VERSION}"));
    base_line || own
}
