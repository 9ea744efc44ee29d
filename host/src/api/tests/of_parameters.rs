//! Parameters that a route does not know, and those that it knows.

use super::*;
use crate::api::openapi;

impl World {
    async fn ask(&self, method: &str, path: &str) -> Answer {
        let head = "host: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2";
        self.send(&format!("{method} {path} HTTP/1.1\r\n{head}\r\n\r\n{{}}")).await
    }
}

/// Every operation that the host describes, with names in the place of what stands in braces.
fn operations() -> Vec<(String, String)> {
    let document: Json = serde_json::from_str(openapi::text().unwrap()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let path: Vec<_> = path.split('/').map(|part| if part.starts_with('{') { "backup" } else { part }).collect();
        let methods = item.as_object().unwrap().keys();
        operations.extend(methods.map(|method| (method.to_uppercase(), path.join("/"))));
    }
    operations
}

#[tokio::test]
async fn no_operation_takes_a_parameter_that_it_does_not_know() {
    let mut world = world().await;
    let operations = operations();
    assert!(40 < operations.len() && operations.contains(&("GET".to_owned(), "/metrics".to_owned())), "{operations:?}");
    for (method, path) in &operations {
        let path = format!("{path}?surely_unknown=1");
        let told = tokio::time::timeout(Duration::from_secs(60), world.ask(method, &path))
            .await
            .expect("it is not carried out");
        let told = told.problem();
        assert!(
            told.starts_with("400 query.invalid: this route knows no parameter `surely_unknown`"),
            "{method} {path}: {told}"
        );
    }
    assert!(world.wishes.try_recv().is_err(), "nothing was asked of the reloader");
}

/// What is said twice, or means a dry run where there is none, changes nothing.
#[tokio::test]
async fn a_dry_run_that_is_misspelled_or_not_there_carries_nothing_out() {
    let mut world = world().await;
    let mut told = Vec::new();
    for (method, path) in [
        ("POST", "jobs/backup/run?dry_run=true"),
        ("POST", "jobs/backup/pause?dry_run=true"),
        ("POST", "scheduler/pause?dry_run=true"),
        ("POST", "jobs/backup/backfill?dry-run=true"),
        ("POST", "jobs?DRY_RUN=true"),
        ("DELETE", "jobs/backup?dryrun=true"),
        ("DELETE", "jobs/backup?dry_run=false&dry_run=true"),
        ("DELETE", "jobs/backup?dry_run=1"),
        ("PUT", "plugins/new?sha_256=00"),
        ("GET", "export?formt=yaml"),
        ("GET", "export?format=toml"),
    ] {
        told.push(world.ask(method, &format!("/api/v1/{path}")).await.problem());
    }
    expect_test::expect![[r#"
        400 query.invalid: this route knows no parameter `dry_run`; it knows none
        400 query.invalid: this route knows no parameter `dry_run`; it knows none
        400 query.invalid: this route knows no parameter `dry_run`; it knows none
        400 query.invalid: this route knows no parameter `dry-run`; it knows `dry_run`
        400 query.invalid: this route knows no parameter `DRY_RUN`; it knows `dry_run`
        400 query.invalid: this route knows no parameter `dryrun`; it knows `dry_run`
        400 query.invalid: `dry_run` stands 2 times; say it once
        400 query.invalid: `dry_run` is `1`; write `true`, `false`
        400 query.invalid: this route knows no parameter `sha_256`; it knows `sha256`, `dry_run`
        400 query.invalid: this route knows no parameter `formt`; it knows `format`, `all`
        400 query.invalid: `format` is `toml`; write `json`, `yaml`"#]]
    .assert_eq(&told.join("\n"));
    assert!(world.wishes.try_recv().is_err(), "nothing was asked of the reloader");
    let runs = world.get("/api/v1/runs?job=backup").await;
    assert_eq!(runs.body["items"], json!([]), "{runs:?}");
    assert_eq!(world.get("/api/v1/jobs?state=paused").await.body["items"], json!([]));
}

/// However `dry_run` is written, it is the same word.
#[tokio::test]
async fn a_dry_run_is_read_as_it_is_meant() {
    let mut world = world().await;
    for (query, expected) in
        [("", false), ("?dry_run=true", true), ("?dry%5Frun=tru%65", true), ("?dry_run=false", false)]
    {
        let path = format!("/api/v1/jobs/made{query}");
        let mut wishes = std::mem::replace(&mut world.wishes, mpsc::channel(1).1);
        let heard = async {
            let Some(Wish::Define { asked, answer }) = wishes.recv().await else { panic!("{query}") };
            assert_eq!(asked.is_dry, expected, "{query}");
            drop(answer);
        };
        tokio::join!(heard, world.ask("DELETE", &path));
        world.wishes = wishes;
    }
}
