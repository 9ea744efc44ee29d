//! JSON made up for the parameters of a function, mostly of their types: it is converted or refused with its path, and what
//! is converted can be handed to the guest.

use std::sync::{Arc, LazyLock};

use arbitrary::{Arbitrary, Unstructured};
use clockjack_sandbox::{Call, Plugin};
use clockjack_schedule::job::{Arguments, Grants};
use serde_json::{Map, Value as Json, json};

use crate::{Played, sandbox};

static TYPED: LazyLock<Arc<Plugin>> = LazyLock::new(|| {
    let bytes = include_bytes!("../../../../tests/guests/typed.wasm");
    Arc::new(Plugin::from_bytes(&sandbox::SANDBOX, bytes, None, false).expect("the guest is a component"))
});

/// Words that mean something in the conversion.
const WORDS: [&str; 16] = [
    "ok",
    "err",
    "some",
    "none",
    "file",
    "circle",
    "red",
    "name",
    "days",
    ".nan",
    "-.inf",
    "${run.id}",
    "${payload.x}",
    "$${",
    "/etc/passwd",
    "\u{10ffff}",
];

fn value(input: &mut Unstructured<'_>, depth: usize) -> arbitrary::Result<Json> {
    let n_kinds = if depth == 0 { 8 } else { 10 };
    Ok(match u8::arbitrary(input)? % n_kinds {
        0 => Json::Null,
        1 => json!(bool::arbitrary(input)?),
        2 => json!(i8::arbitrary(input)?),
        3 => json!(i64::arbitrary(input)?),
        4 => json!(u64::arbitrary(input)?),
        5 => json!(f64::arbitrary(input)?),
        6 => json!(*input.choose(&WORDS)?),
        7 => json!(String::arbitrary(input)?),
        8 => (0..u8::arbitrary(input)? % 5).map(|_| value(input, depth - 1)).collect::<Result<Vec<_>, _>>()?.into(),
        _ => {
            let mut map = Map::new();
            for _ in 0..u8::arbitrary(input)? % 4 {
                map.insert((*input.choose(&WORDS)?).to_owned(), value(input, depth - 1)?);
            }
            map.into()
        }
    })
}

fn arguments(input: &mut Unstructured<'_>, names: &[String]) -> arbitrary::Result<Arguments> {
    if bool::arbitrary(input)? {
        let named = names.iter().map(|name| Ok((name.clone(), value(input, 4)?)));
        return Ok(Arguments::Named(named.collect::<arbitrary::Result<_>>()?));
    }
    let n_values = names.len() + usize::from(u8::arbitrary(input)? % 8 == 0);
    Ok(Arguments::Listed((0..n_values).map(|_| value(input, 4)).collect::<Result<_, _>>()?))
}

pub(crate) fn play(bytes: &[u8]) -> Played {
    let mut input = Unstructured::new(bytes);
    let plugin = &*TYPED;
    let Ok(function) = input.choose(&plugin.functions) else { return Played::Refused };
    let names: Vec<_> = function.parameters.iter().map(|parameter| parameter.name.clone()).collect();
    let Ok(arguments) = arguments(&mut input, &names) else { return Played::Refused };
    match Call::prepare(plugin, Some(&function.name), &arguments, &sandbox::small(), &Grants::default()) {
        Ok(call) => {
            let report = sandbox::run(&call);
            let (code, message) = (report.outcome.code.as_str(), report.outcome.message);
            assert_ne!(code, "trap.abi", "{}: {arguments:?}: {message}", function.name);
            Played::Ran
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a word: {arguments:?}");
            assert!(problems.iter().all(|problem| !problem.error.message.is_empty()), "{arguments:?}");
            Played::Refused
        }
    }
}
