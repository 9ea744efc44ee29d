//! `/metrics`: what it says is OpenMetrics, and true.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use crate::{
    hosted::{Hosted, ends, wait},
    program::{PATIENCE, Running, now},
};

const JOBS: &str = "
pools: { default: { size: 64 }, small: { size: 3 } }
jobs:
  beat: { plugin: typed, call: nothing, every: 100ms }
  trap: { plugin: hostile, call: panic, args: { message: oh }, every: 1h, run_on_start: true, retry: { attempts: 2, backoff: 1ms } }
  held: { plugin: typed, call: nothing, every: 1h, paused: true, pool: small }
";

/// Samples by their name and labels, as they are written.
type Samples = BTreeMap<String, f64>;

fn scrape(socket: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("somebody listens");
    let request = "GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("a request can be sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer comes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.to_lowercase().contains(kind), "{head}");
    body.to_owned()
}

/// Reads the text as strictly as OpenMetrics wants it: every sample belongs to the family before it, has a suffix that its
/// type has, and stands there once; histograms add up.
#[track_caller]
fn read(text: &str) -> Samples {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (mut families, mut samples) = (BTreeSet::new(), Samples::new());
    let (mut family, mut kind, mut has_help) = (String::new(), String::new(), String::new());
    for line in text.lines().take_while(|line| *line != "# EOF") {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').expect("a help has words");
            assert!(words.ends_with('.'), "{line}");
            name.clone_into(&mut has_help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect("a type has a name");
            assert!(families.insert(name.to_owned()), "{name} is there twice");
            assert_eq!(has_help, name);
            assert!(["counter", "gauge", "histogram", "info"].contains(&of), "{line}");
            (family, kind) = (name.to_owned(), of.to_owned());
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
            let name = series.split('{').next().expect("a name");
            let suffix = name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} in {family}"));
            let suffixes: &[&str] = match kind.as_str() {
                "counter" => &["_total"],
                "histogram" => &["_sum", "_count", "_bucket"],
                "info" => &["_info"],
                _ => &[""],
            };
            assert!(suffixes.contains(&suffix), "{line}: {kind}");
            assert!(!series.contains("{}") && !series.contains("job=\""), "{line}");
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
            assert!(kind == "gauge" || 0.0 <= value, "{line}");
            assert_eq!(samples.insert(series.to_owned(), value), None, "{series} is there twice");
        }
    }
    for (series, count) in samples.iter().filter(|(series, _)| series.contains("_count")) {
        let labels = series.split_once('{').map_or(String::new(), |(_, labels)| format!(",{labels}"));
        let name = series.split("_count").next().expect("a name");
        let last = if labels.is_empty() { "}".to_owned() } else { labels };
        let all = format!("{name}_bucket{{le=\"+Inf\"{last}");
        assert_eq!(samples.get(&all), Some(count), "{all}");
    }
    samples
}

#[track_caller]
fn socket_of(host: &mut Running) -> String {
    wait(host, "a socket", |line| line.message.starts_with("commands talk to this host"));
    let line = host.log.iter().map(|line| crate::log::Line::read(line));
    let line = line.into_iter().find(|line| !line.text("socket").is_empty());
    line.expect("it was waited for").text("socket").to_owned()
}

/// Scrapes until something is so.
#[track_caller]
fn until(socket: &str, what: &str, fits: impl Fn(&Samples) -> bool) -> Samples {
    let deadline = now() + PATIENCE;
    loop {
        let samples = read(&scrape(socket));
        if fits(&samples) {
            return samples;
        }
        assert!(now() < deadline, "not {what}: {samples:#?}");
        crate::egress_server::pause(std::time::Duration::from_millis(100));
    }
}

#[test]
fn the_figures_are_those_of_the_host_and_the_text_is_openmetrics() {
    let hosted = Hosted::with(JOBS);
    let mut host = hosted.up(&[]).start();
    let socket = socket_of(&mut host);
    wait(&mut host, "trap", ends("trap"));
    wait(&mut host, "beat", ends("beat"));
    let key = "clockjack_runs_total{job_name=\"trap\",outcome=\"trap.unreachable\"}";
    let samples = until(&socket, "counted", |samples| samples.contains_key(key));
    let get = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no `{name}`: {samples:#?}"));
    assert_eq!(get(key), 1.0);
    assert_eq!(get("clockjack_retries_total{job_name=\"trap\"}"), 1.0);
    assert_eq!(get("clockjack_attempts_total{job_name=\"trap\"}"), 2.0);
    assert_eq!(get("clockjack_job_last_run_success{job_name=\"trap\"}"), 0.0);
    assert_eq!(get("clockjack_job_last_run_success{job_name=\"beat\"}"), 1.0);
    assert_eq!(get("clockjack_manifest_ok"), 1.0);
    assert_eq!(get("clockjack_jobs"), 3.0);
    assert_eq!(get("clockjack_pool_size{pool=\"small\"}"), 3.0);
    assert_eq!(get("clockjack_job_paused{job_name=\"held\"}"), 1.0);
    assert!(!samples.contains_key("clockjack_job_next_slot_timestamp_seconds{job_name=\"held\"}"));
    assert_eq!(get("clockjack_plugin_generation{plugin=\"typed\"}"), 1.0);
    let (turn, start) = (get("clockjack_scheduler_last_turn_timestamp_seconds"), get("process_start_time_seconds"));
    assert!(start <= turn && 0.0 < get("process_resident_memory_bytes") && 0.0 < get("process_cpu_seconds_total"));
    assert!(0.0 < get("clockjack_ledger_commit_seconds_count") && 3.0 < get("process_open_fds"));
    let next = get("clockjack_job_next_slot_timestamp_seconds{job_name=\"trap\"}") - turn;
    assert!((3_000.0..=3_700.0).contains(&next), "{next}");
    let ran = |samples: &Samples| samples["clockjack_runs_total{job_name=\"beat\",outcome=\"succeeded\"}"];
    let before = ran(&samples);
    until(&socket, "counted on", |samples| before < ran(samples));
    // A manifest that is refused is told; a job that goes takes its series along.
    hosted.put("jobs: { beat: { plugin: typed, cal: nothing, every: 100ms } }");
    host.signal("HUP");
    until(&socket, "refused", |samples| samples["clockjack_manifest_ok"] == 0.0);
    hosted.put("jobs: { beat: { plugin: typed, call: nothing, every: 100ms } }");
    host.signal("HUP");
    let samples = until(&socket, "in force", |samples| samples["clockjack_manifest_ok"] == 1.0);
    assert_eq!(samples["clockjack_manifest_reloads_total{result=\"refused\"}"], 1.0);
    assert!(!samples.keys().any(|series| series.contains("\"trap\"")), "{samples:#?}");
    assert!(before < ran(&samples));
}
