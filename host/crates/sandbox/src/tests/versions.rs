//! Components that were built for another version of `clockjack:job`: they say so, and what to do.

use super::*;

fn told(import: &str, functions: &str) -> String {
    match load(&format!("(component (import \"{import}\" (instance {functions})))"), false) {
        Ok(_) => "loaded".to_owned(),
        Err(error) => format!("{}: {}; {}", error.code, error.message, error.fix),
    }
}

#[test]
fn another_version_is_named_with_what_to_do() {
    let heartbeat = "(export \"heartbeat\" (func))";
    let cases = [
        told("clockjack:job/run@0.1.0", heartbeat),
        told("clockjack:job/run@0.1.9", heartbeat),
        told("clockjack:job/run@0.2.0", heartbeat),
        told("clockjack:job/run@0.0.3", heartbeat),
        told("clockjack:job/log@9.0.0", "(export \"log\" (func))"),
        told("clockjack:job/metrics@0.1.4", "(export \"count\" (func))"),
        told(
            "clockjack:job/run@0.1.3",
            "(export \"heartbeat\" (func)) (export \"pause\" (func)) (export \"resume\" (func))",
        ),
        told("clockjack:job/run", heartbeat),
        told("clockjack:jobs/run@0.1.0", heartbeat),
    ];
    expect![[r#"
        loaded
        loaded
        load.import: the component was built for `clockjack:job@0.2.0`, of which it imports `run`, and this host has `clockjack:job@0.1.0`; upgrade this host to one with `clockjack:job@0.2.0`, or build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component was built for `clockjack:job@0.0.3`, of which it imports `run`, and this host has `clockjack:job@0.1.0`; build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component was built for `clockjack:job@9.0.0`, of which it imports `log`, and this host has `clockjack:job@0.1.0`; upgrade this host to one with `clockjack:job@9.0.0`, or build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component imports the interface `metrics` of `clockjack:job@0.1.4`; this host's `clockjack:job@0.1.0` has types, run, log, state, secrets; upgrade this host to one with `clockjack:job@0.1.4`, or build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component uses `pause`, `resume` of `clockjack:job/run@0.1.3`, which this host's `clockjack:job@0.1.0` does not have; upgrade this host to one with `clockjack:job@0.1.3`, or build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component was built for `clockjack:job without a version`, of which it imports `run`, and this host has `clockjack:job@0.1.0`; build it with the SDK or the `wit/` folder of `clockjack:job@0.1.0`
        load.import: the component imports `clockjack:jobs/run@0.1.0`, which this host does not have; compose the component with one that exports `clockjack:jobs/run@0.1.0`, or build it without that import"#]].assert_eq(&cases.join("\n"));
}
