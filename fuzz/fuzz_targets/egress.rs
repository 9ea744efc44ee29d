//! Any two texts as a rule and a URL: an answer or a fault, never a panic; and what is covered is of the rule's host.

#![no_main]

use clockjack_schedule::egress::{Authority, EgressRule, Endpoint, HttpRule, NameRule, permits};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|texts: (&str, &str)| {
    let (rule_text, url) = texts;
    let faults = [
        HttpRule::parse(rule_text).err(),
        Endpoint::parse(rule_text).err(),
        NameRule::parse(rule_text).err(),
        EgressRule::parse(rule_text).err(),
    ];
    for fault in faults.into_iter().flatten() {
        assert!(rule_text.get(fault.start..fault.end).is_some(), "{rule_text:?}: {fault:?}");
    }
    let Ok(rule) = HttpRule::parse(rule_text) else { return };
    assert_eq!(HttpRule::parse(&rule.to_string()).as_ref(), Ok(&rule), "{rule_text:?}");
    assert!(rule.covers(&rule), "{rule_text:?}");
    if permits(rule_text, url) == Ok(true) {
        let (_, rest) = url.split_once("://").expect("it has a scheme");
        let authority = rest.split(['/', '?', '#']).next().expect("there is a first part");
        let host = Authority::parse(authority).expect("it was read").host;
        assert!(rule.host.matches(&host), "{rule_text:?} {url:?}");
    }
});
