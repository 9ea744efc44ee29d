//! Jobs that are made in a running host: over HTTP and with the commands that use it.

use std::{
    io::{Read as _, Write as _},
    ops::Deref,
    os::unix::net::UnixStream,
    thread,
};

use serde_json::{Value as Json, json};

use crate::{
    hosted::{Hosted, ends, list, text, wait, wait_next},
    log::Line,
    program::{Clockjack, Running, clockjack},
};

const JOBS: &str = "jobs:\n  filed: { plugin: typed, call: nothing, every: 1h }\n";

/// A host with the socket that it answers on.
struct Up {
    host: Running,
    http: Http,
}

/// Who asks a host.
struct Http {
    socket: String,
}

impl Deref for Up {
    type Target = Http;

    fn deref(&self) -> &Http {
        &self.http
    }
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Json,
}

impl Answer {
    /// A header.
    #[track_caller]
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no header {name}: {self:?}"))
    }

    /// The status and the code of a problem.
    fn problem(&self) -> (u16, &str) {
        (self.status, self.body["code"].as_str().unwrap_or_default())
    }
}

#[track_caller]
fn up(hosted: &Hosted) -> Up {
    let mut host = hosted.up(&[]).start();
    let says = |line: &Line| line.message.starts_with("commands talk to this host");
    wait(&mut host, "a socket", says);
    let line = host.log.iter().map(|line| Line::read(line)).find(says);
    let socket = line.expect("it was waited for").text("socket").to_owned();
    Up { host, http: Http { socket } }
}

impl Http {
    #[track_caller]
    fn ask(&self, method: &str, path: &str, headers: &str, media: &str, body: &[u8]) -> Answer {
        let mut stream = UnixStream::connect(&self.socket).expect("somebody listens");
        let head = format!(
            "{method} /api/v1{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}content-type: {media}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).expect("a request can be sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer comes");
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = if body.is_empty() { Json::Null } else { serde_json::from_str(body).expect("the body is JSON") };
        Answer { status, head: head.to_lowercase(), body }
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "application/json", b"")
    }

    #[track_caller]
    fn send(&self, method: &str, path: &str, body: &Json) -> Answer {
        self.ask(method, path, "", "application/json", &bytes(body))
    }

    #[track_caller]
    fn send_if(&self, method: &str, path: &str, etag: &str, body: &Json) -> Answer {
        let headers = format!("if-match: {etag}\r\n");
        self.ask(method, path, &headers, "application/json", &bytes(body))
    }
}

impl Up {
    #[track_caller]
    fn end(self) {
        self.host.signal("TERM");
        assert_eq!(self.host.end().code, Some(0));
    }
}

/// A body; nothing where there is nothing to say.
fn bytes(body: &Json) -> Vec<u8> {
    if body.is_null() { Vec::new() } else { body.to_string().into_bytes() }
}

fn command(hosted: &Hosted, args: &[&str]) -> Clockjack {
    clockjack(args).folder(hosted.scene.folder()).beside_nothing()
}

#[track_caller]
fn told(hosted: &Hosted, args: &[&str]) -> Json {
    command(hosted, args).args(["-o", "json"]).ends_with(0).json()
}

fn beat() -> Json {
    json!({ "plugin": "typed", "call": "nothing", "every": "100ms" })
}

/// A component whose function `answer` gives a number.
fn answers(number: u32) -> Vec<u8> {
    let text = format!(
        r#"(component
            (core module $m (func (export "answer") (result i32) i32.const {number}))
            (core instance $i (instantiate $m))
            (func (export "answer") (result u32) (canon lift (core func $i "answer"))))"#
    );
    wat::parse_str(text).expect("a component")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story from the first word to the last")]
fn a_job_is_made_fires_is_changed_and_outlives_its_host() {
    let hosted = Hosted::with(JOBS);
    let mut one = up(&hosted);
    // What would happen, and nothing does.
    let dry = one.send("POST", "/jobs?dry_run=true", &json!({ "id": "beat", "job": beat() }));
    assert_eq!((dry.status, &dry.body["added"][0]["job"]), (200, &json!("beat")), "{dry:?}");
    assert_eq!(one.get("/jobs/beat/definition").problem(), (404, "job.unknown"));
    let made = one.send("POST", "/jobs", &json!({ "id": "beat", "job": beat() }));
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/jobs/beat"), "{made:?}");
    let view = &made.body;
    assert_eq!(
        (&view["origin"], &view["state"], &view["on_reload"]),
        (&json!("api"), &json!("in_force"), &json!("kept"))
    );
    assert_eq!((&view["definition"], text(view, "etag")), (&beat(), made.header("etag")));
    wait_next(&mut one.host, "beat", ends("beat"));
    // What is wrong is told with its place, and changes nothing.
    let wrong = one.send("PATCH", "/jobs/beat", &json!({ "evry": "1h" }));
    assert_eq!(wrong.problem(), (422, "job.invalid"), "{wrong:?}");
    let finding = &wrong.body["findings"][0];
    assert_eq!((&finding["code"], &finding["file"]), (&json!("manifest.unknown_key"), &json!("api:jobs/beat")));
    let wrong = one.send("PATCH", "/jobs/beat", &json!({ "args": { "much": 1 } }));
    assert_eq!(wrong.problem(), (422, "job.invalid"), "held against the types of the function: {wrong:?}");
    assert_eq!(one.get("/jobs/beat/definition").body["definition"], beat());
    for (job, code) in [
        (json!({ "plugin": "typed", "call": "nothing", "every": "1h", "description": "${HOME}" }), "manifest.variable"),
        (json!({ "plugin": "/etc/x.wasm", "every": "1h" }), "manifest.denied"),
        (json!({ "plugin": "../x.wasm", "every": "1h" }), "manifest.denied"),
        (
            json!({ "plugin": "typed", "call": "nothing", "every": "1h", "grants": { "dirs": [{ "host": ".", "guest": "/d" }] } }),
            "manifest.denied",
        ),
        (
            json!({ "plugin": "typed", "call": "nothing", "every": "1h", "grants": { "http": ["https://a.example"] } }),
            "manifest.denied",
        ),
        (
            json!({ "plugin": "typed", "call": "echo-string", "args": { "value": { "file": "state.db" } }, "every": "1h" }),
            "manifest.denied",
        ),
        (json!({ "plugin": "typed", "call": "nothing", "every": "1h", "pool": "none" }), "manifest.unknown_pool"),
    ] {
        let refused = one.send("POST", "/jobs", &json!({ "id": "bad", "job": job }));
        assert_eq!(refused.problem(), (422, "job.invalid"), "{refused:?}");
        let codes: Vec<_> =
            list(&refused.body["findings"]).iter().map(|found| text(found, "code").to_owned()).collect();
        assert!(codes.iter().any(|found| found == code), "{code}: {codes:?}");
    }
    // Who has not heard the answer can go on with it all the same.
    let again = json!({ "id": "again", "job": { "plugin": "typed", "call": "nothing", "every": "1h" } });
    let ask = || one.ask("POST", "/jobs", "idempotency-key: again\r\n", "application/json", &bytes(&again));
    let (first, replayed) = (ask(), ask());
    assert_eq!((first.status, replayed.status, &replayed.body), (201, 201, &first.body), "{replayed:?}");
    for header in ["content-type", "etag", "location"] {
        assert_eq!(first.header(header), replayed.header(header));
    }
    assert_eq!(one.send_if("DELETE", "/jobs/again", replayed.header("etag"), &Json::Null).status, 204);
    assert_eq!(one.send("POST", "/jobs", &json!({ "id": "no id", "job": beat() })).problem(), (422, "job.invalid"));
    assert_eq!(one.send("POST", "/jobs", &json!({ "id": "x", "job": 7 })).problem(), (422, "job.invalid"));
    // Jobs of files are changed where they stand.
    assert_eq!(one.send("POST", "/jobs", &json!({ "id": "filed", "job": beat() })).problem(), (409, "job.exists"));
    let filed = one.send("PUT", "/jobs/filed", &beat());
    assert_eq!(filed.problem(), (409, "job.in_manifest"));
    assert!(text(&filed.body, "detail").contains("clockjack.yaml:4"), "{filed:?}");
    let filed = one.get("/jobs/filed/definition").body;
    assert_eq!(
        (&filed["origin"], &filed["line"], &filed["on_reload"]),
        (&json!("manifest"), &json!(4), &json!("follows its file"))
    );
    let rescheduled = one.send("POST", "/jobs/beat/reschedule", &json!({ "cron": "0 4 * * *" }));
    let then = json!({ "plugin": "typed", "call": "nothing", "cron": "0 4 * * *" });
    assert_eq!((rescheduled.status, &rescheduled.body["definition"]), (200, &then), "{rescheduled:?}");
    assert!(text(&hosted.job("beat"), "next").ends_with("04:00:00Z"));
    one.end();
    let two = up(&hosted);
    assert_eq!(two.get("/jobs/beat/definition").body["definition"], then, "the ledger keeps it");
    assert_eq!(hosted.job("beat")["state"], "active", "also whoever only reads knows it");
    assert_eq!(two.send("DELETE", "/jobs/beat", &Json::Null).status, 204);
    assert_eq!(two.get("/jobs/beat/definition").problem(), (404, "job.unknown"));
    assert!(!hosted.ended("beat").is_empty(), "what is known of its runs stays");
    two.end();
    let three = up(&hosted);
    assert_eq!(three.get("/jobs/beat/definition").problem(), (404, "job.unknown"));
    three.end();
}

#[test]
fn two_who_change_one_job_at_once_end_in_one_outcome() {
    let hosted = Hosted::with(JOBS);
    let up = up(&hosted);
    let made = up.send("POST", "/jobs", &json!({ "id": "both", "job": beat() }));
    let etag = made.header("etag").to_owned();
    let change = |every: &'static str| {
        let (http, etag) = (&up.http, &etag);
        move || http.send_if("PATCH", "/jobs/both", etag, &json!({ "every": every }))
    };
    let (one, other) = thread::scope(|scope| {
        let (one, other) = (scope.spawn(change("1h")), scope.spawn(change("2h")));
        (one.join().expect("an answer"), other.join().expect("an answer"))
    });
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412], "{one:?} {other:?}");
    let (won, lost) = if one.status == 200 { (one, other) } else { (other, one) };
    assert_eq!((lost.problem(), text(&lost.body, "etag")), ((412, "job.changed"), won.header("etag")));
    assert_eq!(up.get("/jobs/both/definition").body["definition"], won.body["definition"]);
    // What asks for nothing is done all the same; what asks for a new one is not.
    let none = "if-none-match: *\r\n";
    let body = beat().to_string();
    let refused = up.ask("PUT", "/jobs/both", none, "application/json", body.as_bytes());
    assert_eq!(refused.problem(), (412, "job.changed"));
    assert_eq!(up.ask("PUT", "/jobs/new", none, "application/json", body.as_bytes()).status, 201);
    assert_eq!(up.send_if("DELETE", "/jobs/new", "\"1\"", &Json::Null).problem(), (412, "job.changed"));
    // Conditions are those of their standard, for who reads as well.
    let tag = up.get("/jobs/new/definition").header("etag").to_owned();
    let shown = up.get("/jobs/new");
    assert_eq!(
        (text(&shown.body, "etag"), shown.head.contains("\r\netag: ")),
        (&*tag, false),
        "how it goes has no tag"
    );
    let with = |method: &str, headers: &str, body: &Json| {
        up.ask(method, "/jobs/new", headers, "application/json", &bytes(body))
    };
    let read = |headers: &str| up.ask("GET", "/jobs/new/definition", headers, "application/json", b"");
    let known = read(&format!("if-none-match: \"x\", W/{tag}\r\n"));
    assert_eq!((known.status, known.header("etag"), &known.body), (304, &*tag, &Json::Null));
    assert_eq!(read("if-none-match: \"x\"\r\n").status, 200);
    assert_eq!(read("if-match: \"x\"\r\n").problem(), (412, "job.changed"));
    let lines = format!("if-match: \"x\"\r\nif-match: {tag}\r\n");
    assert_eq!(with("PUT", &lines, &beat()).status, 200, "several lines are one list");
    assert_eq!(with("PUT", &format!("if-match: W/{tag}\r\n"), &beat()).problem(), (412, "job.changed"));
    assert_eq!(with("PUT", &format!("if-none-match: {tag}\r\n"), &beat()).problem(), (412, "job.changed"));
    assert_eq!(with("PUT", "if-none-match: \"x\"\r\n", &beat()).status, 200);
    assert_eq!(
        with("PATCH", &format!("if-match: {tag}\r\nif-none-match: *\r\n"), &json!({})).problem(),
        (412, "job.changed")
    );
    let untagged = up.ask("POST", "/jobs", &format!("if-match: {tag}\r\n"), "application/json", b"{}");
    assert_eq!(untagged.problem(), (412, "condition.no_tag"));
    // A tag of a job that is gone is no tag of one that comes after it.
    let old = up.get("/jobs/new/definition").header("etag").to_owned();
    assert_eq!(up.send_if("DELETE", "/jobs/new", &old, &Json::Null).status, 204);
    assert_eq!(up.send("PUT", "/jobs/new", &beat()).status, 201);
    assert_eq!(up.send_if("PUT", "/jobs/new", &old, &beat()).problem(), (412, "job.changed"));
    up.end();
}

#[test]
fn a_manifest_shadows_a_job_and_gives_it_back() {
    let hosted = Hosted::with(JOBS);
    let up = up(&hosted);
    assert_eq!(up.send("POST", "/jobs", &json!({ "id": "twin", "job": beat() })).status, 201);
    hosted
        .put(&format!("api: {{ rate: {{ requests: 9 }} }}\npools: {{ p: {{ size: 2 }} }}\n{JOBS}  twin: {{ plugin: typed, call: nothing, every: 2h }}\n"));
    let plan = command(&hosted, &["plan"]).ends_with(0);
    assert!(plan.stderr.contains("job.shadowed") && plan.stdout.contains("~ twin"), "{}{}", plan.stderr, plan.stdout);
    assert!(plan.stderr.contains("host.restart") && plan.stderr.contains("`api` is not what"), "{}", plan.stderr);
    let reloaded = told(&hosted, &["reload"]);
    assert!(reloaded["findings"].to_string().contains("was also made through the API"), "{reloaded:#}");
    assert!(reloaded["findings"].to_string().contains("host.restart"), "{reloaded:#}");
    let twin = up.get("/jobs/twin/definition").body;
    assert_eq!((&twin["origin"], &twin["shadows"]), (&json!("manifest"), &json!(true)), "{twin:#}");
    assert_eq!(up.send("PATCH", "/jobs/twin", &json!({ "every": "3h" })).problem(), (409, "job.in_manifest"));
    // A job that needs what the manifest has goes where that goes, and comes back with it.
    let pooled = json!({ "plugin": "typed", "call": "nothing", "every": "1h", "pool": "p" });
    assert_eq!(up.send("POST", "/jobs", &json!({ "id": "pooled", "job": pooled })).status, 201);
    hosted.put(JOBS);
    told(&hosted, &["reload"]);
    let twin = up.get("/jobs/twin/definition").body;
    assert_eq!((&twin["origin"], &twin["definition"], &twin["shadows"]), (&json!("api"), &beat(), &json!(false)));
    let broken = up.get("/jobs/pooled/definition").body;
    assert_eq!(
        (&broken["state"], &broken["broken"]["code"]),
        (&json!("broken"), &json!("manifest.unknown_pool")),
        "{broken:#}"
    );
    assert_eq!(up.send("PATCH", "/jobs/twin", &json!({ "every": "3h" })).status, 200, "others are not disturbed");
    assert_eq!(up.send("PATCH", "/jobs/pooled", &json!({ "pool": null })).status, 200);
    assert_eq!(up.get("/jobs/pooled/definition").body["state"], "in_force");
    up.end();
}

#[test]
fn what_is_exported_here_is_imported_there() {
    let here = Hosted::with(JOBS);
    let up_here = up(&here);
    here.scene.put(
        "more.yaml",
        "version: 1\njobs:\n  a: { plugin: typed, call: nothing, cron: \"30 2 * * mon-fri\", timezone: Europe/Berlin }\n  \
         b: { plugin: typed, call: echo-string, args: { value: \"it's: fine\\n\" }, calendar: { months: 1, at: \"09:00\" } }\n",
    );
    let dry = command(&here, &["apply", "more.yaml", "--dry-run"]).ends_with(0).stdout;
    assert!(dry.contains("+ a") && dry.contains("created"), "{dry}");
    let applied = told(&here, &["apply", "more.yaml"]);
    let effects = |applied: &Json| -> Vec<String> {
        list(&applied["jobs"]).iter().map(|job| format!("{} {}", text(job, "job"), text(job, "effect"))).collect()
    };
    assert_eq!(effects(&applied), ["a created", "b created"]);
    assert_eq!(effects(&told(&here, &["apply", "more.yaml"])), ["a unchanged", "b unchanged"]);
    let exported = command(&here, &["export"]).ends_with(0).stdout;
    let there = Hosted::with(JOBS);
    there.scene.put("exported.yaml", &exported);
    // The same text is a manifest beside another one.
    let both = ["check", "-f", "clockjack.yaml", "-f", "exported.yaml"];
    command(&there, &both).ends_with(0);
    let up_there = up(&there);
    assert_eq!(effects(&told(&there, &["import", "exported.yaml"])), ["a created", "b created"]);
    command(&there, &["import", "exported.yaml"]).ends_with(1);
    for job in ["a", "b"] {
        let next = |hosted: &Hosted| text(&hosted.job(job), "next").to_owned();
        assert_eq!(next(&here), next(&there), "{job}");
        let definition = |up: &Up| up.get(&format!("/jobs/{job}/definition")).body["definition"].clone();
        assert_eq!(definition(&up_here), definition(&up_there));
    }
    // All of it or nothing.
    there
        .scene
        .put("bad.yaml", "jobs: { c: { plugin: typed, call: nothing, every: 1h }, d: { plugin: none, every: 1h } }");
    let refused = command(&there, &["apply", "bad.yaml"]).ends_with(1).stderr;
    assert!(refused.contains("api:jobs/d") && refused.contains("no plugin is named `none`"), "{refused}");
    assert_eq!(up_there.get("/jobs/c/definition").problem(), (404, "job.unknown"));
    there.scene.put("one.yaml", "jobs: { c: { plugin: typed, call: nothing, every: 1h } }");
    assert_eq!(effects(&told(&there, &["apply", "one.yaml", "--prune"])), ["a deleted", "b deleted", "c created"]);
    told(&there, &["reschedule", "c", "--every", "2h"]);
    assert_eq!(up_there.get("/jobs/c/definition").body["definition"]["every"], "2h");
    told(&there, &["delete", "c"]);
    let nothing = json!({ "version": 1, "defaults": {}, "x-plugins": {}, "jobs": {} });
    assert_eq!(up_there.get("/export").body, nothing);
    up_here.end();
    up_there.end();
}

#[test]
fn what_is_exported_means_the_same_beside_other_defaults() {
    let here = Hosted::with("defaults: { timeout: 5m, limits: { memory: 32MiB } }\njobs: {}\n");
    let up_here = up(&here);
    here.scene.put("answer.bin", answers(1));
    let uploaded = told(&here, &["plugins", "upload", "answer", "answer.bin"]);
    let job = json!({ "plugin": "answer", "call": "answer", "cron": "0 4 * * *", "limits": { "cpu_time": "3s" } });
    assert_eq!(up_here.send("POST", "/jobs", &json!({ "id": "early", "job": job })).status, 201);
    let exported = command(&here, &["export"]).ends_with(0).stdout;
    let there = Hosted::with(
        "defaults: { timezone: Asia/Tokyo, timeout: 7s, limits: { memory: 16MiB, cpu_time: 1s }, overlap: queue }\n\
         api: { rate: { requests: 500 } }\n",
    );
    let up_there = up(&there);
    there.scene.put("exported.yaml", &exported);
    let missing = command(&there, &["import", "exported.yaml"]).ends_with(1).stderr;
    let named = format!("`answer` (sha256 {})", text(&uploaded, "digest"));
    assert!(missing.contains(&named) && missing.contains("clockjack plugins upload NAME FILE"), "{missing}");
    there.scene.put("answer.bin", answers(2));
    told(&there, &["plugins", "upload", "answer", "answer.bin"]);
    let imported = told(&there, &["import", "exported.yaml"]);
    assert!(imported["notes"][0].to_string().contains("has other code here"), "{imported:#}");
    let view = |up: &Up| {
        let view = up.get("/jobs/early").body;
        ["next", "timezone", "settings"].map(|key| view[key].clone())
    };
    assert_eq!(view(&up_here), view(&up_there));
    let definition = &up_there.get("/jobs/early/definition").body["definition"];
    assert_eq!((&definition["timezone"], &definition["timeout"]), (&json!("UTC"), &json!("5m")), "{definition:#}");
    assert_eq!(definition["limits"], json!({ "cpu_time": "3s", "memory": "32MiB" }), "{definition:#}");
    up_here.end();
    up_there.end();
}

#[test]
fn an_uploaded_plugin_has_jobs_and_generations() {
    let hosted = Hosted::with(JOBS);
    let mut one = up(&hosted);
    hosted.scene.put("answer.bin", answers(1));
    hosted.scene.put("broken.bin", "no component");
    let error = command(&hosted, &["plugins", "upload", "answer", "broken.bin"]).ends_with(1).stderr;
    assert!(error.contains("plugin `answer`"), "{error}");
    assert_eq!(one.send("DELETE", "/plugins/typed", &Json::Null).problem(), (409, "plugin.in_manifest"));
    let upload = |up: &Up, query: &str, bytes: &[u8]| {
        up.ask("PUT", &format!("/plugins/answer{query}"), "", "application/wasm", bytes)
    };
    assert_eq!(upload(&one, "?sha256=00", &answers(1)).problem(), (422, "load.digest"));
    assert_eq!(upload(&one, "?dry_run=true", &answers(1)).body["plugins"][0]["change"], "added");
    assert_eq!(one.get("/plugins/answer").problem(), (404, "plugin.unknown"), "it was only asked");
    assert_eq!(told(&hosted, &["plugins", "upload", "answer", "answer.bin"])["generation"], 1);
    let job = json!({ "plugin": "answer", "call": "answer", "every": "100ms" });
    assert_eq!(one.send("POST", "/jobs", &json!({ "id": "beat", "job": job })).status, 201);
    let gives = |host: &mut Running, output: &str| {
        wait_next(host, output, |line| ends("beat")(line) && line.text("output") == output);
    };
    gives(&mut one.host, "1");
    let next = upload(&one, "", &answers(2));
    assert_eq!((next.status, &next.body["generation"]), (200, &json!(2)), "{next:?}");
    gives(&mut one.host, "2");
    assert_eq!(one.send("DELETE", "/plugins/answer", &Json::Null).problem(), (409, "plugin.in_use"));
    let digest = text(&next.body, "digest").to_owned();
    one.end();
    // The ledger had heard of it, and the host came to its end before the bytes were in their place.
    let place = hosted.scene.path("state.db.plugins/answer.wasm");
    std::fs::rename(&place, place.with_extension(format!("wasm.{digest}"))).expect("a file");
    hosted.scene.put("state.db.plugins/answer.wasm", answers(1));
    let mut two = up(&hosted);
    gives(&mut two.host, "2");
    assert_eq!(two.get("/plugins/answer").body["candidate"], Json::Null);
    two.end();
    // Bytes that nobody uploaded are not run.
    hosted.scene.put("state.db.plugins/answer.wasm", answers(3));
    let mut two = up(&hosted);
    gives(&mut two.host, "2");
    let candidate = &two.get("/plugins/answer").body["candidate"];
    assert_eq!((&candidate["state"], &candidate["code"]), (&json!("refused"), &json!("load.digest")), "{candidate:#}");
    assert!(text(candidate, "reason").contains("uploaded as `answer`"), "{candidate:#}");
    assert_eq!(upload(&two, "", &answers(3)).status, 200, "who uploads them means them");
    gives(&mut two.host, "3");
    assert_eq!(two.send("DELETE", "/jobs/beat", &Json::Null).status, 204);
    assert_eq!(two.send("DELETE", "/plugins/answer", &Json::Null).status, 204);
    assert_eq!(two.get("/plugins/answer").problem(), (404, "plugin.unknown"));
    two.end();
    assert_eq!(
        std::fs::read_dir(hosted.scene.path("state.db.plugins")).expect("a folder").count(),
        0,
        "nothing is left"
    );
}
