//! What a component's authors wrote about its functions: the custom section `package-docs`, in which WIT tools keep docs.
//!
//! It stands in the component itself or in one of its core modules. Docs are words for people: a section that cannot be
//! read is as good as none.

use serde_json::Value as Json;

use crate::exports::Function;

/// The name of the section; linkers join sections of one name, so that more may stand behind a colon.
const SECTION: &str = "package-docs";

/// The name under which `clockjack-sdk` keeps the docs of all modules of jobs but the first, before a colon.
const SECTION_OF_SDK: &str = "clockjack-docs";

/// Longest docs of one function that are kept.
const DOCS_CHARS_MAX: usize = 4_000;

/// Largest section that is read, and most of them: docs are words for people, and JSON takes many times its length here.
const SECTION_BYTES_MAX: usize = 256 * 1024;
const SECTIONS_MAX: usize = 16;

/// How deep components nest in components.
const DEPTH_MAX: usize = 4;

/// The sections of a component or module that hold docs, as they are.
pub(crate) fn sections(component: &[u8]) -> Vec<Vec<u8>> {
    let mut sections = Vec::new();
    find(component, DEPTH_MAX, &mut sections);
    sections
}

/// Adds docs to the functions that have some.
pub(crate) fn attach(functions: &mut [Function], sections: &[Vec<u8>]) {
    let sections: Vec<Json> = sections.iter().filter_map(|json| serde_json::from_slice(json).ok()).collect();
    for function in functions {
        let docs = sections.iter().find_map(|docs| of_function(docs, &function.name));
        function.docs = docs.map(|docs| docs.trim().chars().take(DOCS_CHARS_MAX).collect());
    }
}

/// Collects the sections of a component or module, and of those inside it.
fn find(binary: &[u8], depth: usize, sections: &mut Vec<Vec<u8>>) {
    const CUSTOM: u8 = 0;
    // In a component, sections 1 and 4 are whole modules and components.
    const INNER: [u8; 2] = [1, 4];
    let is_component = binary.get(4..8).is_some_and(|version| version == [0x0d, 0, 1, 0]);
    let mut rest = binary.get(8..).unwrap_or_default();
    while let Some((id, after)) = rest.split_first() {
        let Some((body, after)) = sized(after) else { return };
        if *id == CUSTOM {
            if body.len() <= SECTION_BYTES_MAX && sections.len() < SECTIONS_MAX {
                sections.extend(custom(body));
            }
        } else if is_component && INNER.contains(id) && depth != 0 {
            find(body, depth - 1, sections);
        }
        rest = after;
    }
}

fn custom(body: &[u8]) -> Option<Vec<u8>> {
    let (name, data) = sized(body)?;
    let name = std::str::from_utf8(name).ok()?;
    let is_one_of_more = [SECTION, SECTION_OF_SDK].contains(&name.split_once(':').unwrap_or_default().0);
    if name != SECTION && !is_one_of_more {
        return None;
    }
    // One byte says the version; both versions that there are have what is read here.
    let (version, json) = data.split_first()?;
    if 1 < *version { None } else { Some(json.to_vec()) }
}

/// A length and so many bytes, and what follows.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_usize, 0);
    for (index, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return bytes.get(index + 1..)?.split_at_checked(length);
        }
        shift += 7;
    }
    None
}

/// The docs of a function of the world, or of one in an interface: `acme:ops/cleanup@1.0.0#purge`.
fn of_function<'d>(docs: &'d Json, name: &str) -> Option<&'d str> {
    let text = |functions: &'d Json, name: &str| match functions.get(name)? {
        Json::String(docs) => Some(docs.as_str()),
        entry => entry.get("docs")?.as_str(),
    };
    let worlds = || docs.get("worlds").and_then(Json::as_object).into_iter().flat_map(|worlds| worlds.values());
    let Some((interface, function)) = name.split_once('#') else {
        return worlds()
            .find_map(|world| ["func_exports", "funcs"].into_iter().find_map(|key| text(world.get(key)?, name)));
    };
    let interface = interface.split('@').next().unwrap_or_default();
    let short = interface.rsplit('/').next().unwrap_or_default();
    let in_world = worlds().find_map(|world| {
        let inline =
            |key: &str| text(world.get(key)?.get(interface).or(world.get(key)?.get(short))?.get("funcs")?, function);
        ["interface_exports", "interfaces"].into_iter().find_map(inline)
    });
    in_world.or_else(|| text(docs.get("interfaces")?.get(short)?.get("funcs")?, function))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn section(name: &str, version: u8, json: &Json) -> Vec<u8> {
        let mut data = vec![u8::try_from(name.len()).unwrap()];
        data.extend_from_slice(name.as_bytes());
        data.push(version);
        data.extend_from_slice(json.to_string().as_bytes());
        with_length(0, &data)
    }

    /// A section of 128 bytes to 16 KiB.
    fn with_length(id: u8, body: &[u8]) -> Vec<u8> {
        let mut section = vec![id, u8::try_from(body.len() & 0x7f).unwrap() | 0x80];
        section.push(u8::try_from(body.len() >> 7).unwrap());
        section.extend_from_slice(body);
        section
    }

    fn component(sections: &[Vec<u8>]) -> Vec<u8> {
        [&b"\0asm\x0d\0\x01\0"[..], &sections.concat()].concat()
    }

    fn found(binary: &[u8]) -> Vec<Json> {
        sections(binary).iter().filter_map(|json| serde_json::from_slice(json).ok()).collect()
    }

    #[test]
    fn sections_are_found_where_tools_put_them() {
        let docs = json!({ "docs": "x".repeat(200) });
        assert_eq!(found(&component(&[section(SECTION, 1, &docs)])), std::slice::from_ref(&docs));
        assert_eq!(found(&component(&[section("package-docs:jobs", 0, &docs)])), std::slice::from_ref(&docs));
        assert_eq!(found(&component(&[section("clockjack-docs:jobs", 1, &docs)])), std::slice::from_ref(&docs));
        let module = [&b"\0asm\x01\0\0\0"[..], &section(SECTION, 1, &docs)].concat();
        let whole = component(&[with_length(1, &module)]);
        assert_eq!(found(&whole), std::slice::from_ref(&docs), "in a core module");
        for broken in [section(SECTION, 2, &docs), section("package-docsx", 1, &docs), section("x", 1, &docs)] {
            assert_eq!(found(&component(&[broken])), Vec::<Json>::new());
        }
        for end in 0..whole.len() {
            assert_eq!(found(&whole[..end]), Vec::<Json>::new(), "cut at {end}");
        }
    }

    #[test]
    fn functions_of_worlds_and_interfaces_have_docs() {
        let docs = json!({
            "worlds": { "w": {
                "funcs": { "purge": { "docs": "Purges.", "stability": "unknown" }, "old": "Old form." },
                "interfaces": { "inline": { "funcs": { "f": { "docs": "Inline." } } } },
            } },
            "interfaces": { "cleanup": { "funcs": { "purge": { "docs": "Of the interface." } } } },
        });
        for (name, text) in [
            ("purge", Some("Purges.")),
            ("old", Some("Old form.")),
            ("inline#f", Some("Inline.")),
            ("acme:ops/cleanup@1.0.0#purge", Some("Of the interface.")),
            ("absent", None),
            ("acme:ops/other#purge", None),
        ] {
            assert_eq!(of_function(&docs, name), text, "{name}");
        }
    }
}
