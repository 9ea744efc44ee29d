//! Code that asks for more than is granted waits for somebody to say yes.

use super::{all_succeeded, answers, asks, gives, put, replace, scene, told};

#[test]
fn what_asks_for_more_is_held_until_the_manifest_grants_it() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &asks(2));
    let line = told(&mut host, "plugin.held");
    assert!(line.message.contains("waits for approval") && line.message.contains("load.import"), "{line:?}");
    assert!(line.text("change").contains("+clockjack:job/state"), "{line:?}");
    assert!(line.text("fix").contains("state: true"), "{line:?}");
    gives(&mut host, 1);
    put(&hosted, "", ", grants: { state: true }");
    gives(&mut host, 2);
    all_succeeded(&hosted, host);
}

#[test]
fn what_is_held_makes_way_for_what_is_not() {
    let hosted = scene("", "");
    let mut host = hosted.up_watching(&[]).start();
    gives(&mut host, 1);
    replace(&hosted, "p.wasm", &asks(2));
    told(&mut host, "plugin.held");
    replace(&hosted, "p.wasm", &answers(3));
    gives(&mut host, 3);
    all_succeeded(&hosted, host);
}
