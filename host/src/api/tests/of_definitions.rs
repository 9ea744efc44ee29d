//! What is answered to who changes a job.

use std::fs;

use super::*;
use crate::{
    clock::SystemClock,
    hot::{Defined, Done, Effect, Jobs, Set, Sources},
    load::Program,
};

impl World {
    /// The jobs of a manifest with one job.
    fn jobs_with(&self, job: &str) -> Jobs {
        let file = self.folder.path().join("made.yaml");
        fs::write(&file, format!("version: 1\njobs: {{ {job}: {{ plugin: ./a.wasm, every: 1h }} }}\n")).unwrap();
        let (zones, program) = (Zones::bundled(), Program::default());
        let sources = Sources { files: vec![file], zones, is_locked: false, ledger: None, program };
        Jobs::of_set(Set::read(&sources, SystemClock.now()).unwrap())
    }
}

/// Whatever somebody else has made of the job in the meantime: here it is gone again.
#[tokio::test]
async fn who_changes_a_job_is_answered_with_what_that_has_made_of_it() {
    let mut world = world().await;
    let jobs = world.jobs_with("made");
    let mut wishes = std::mem::replace(&mut world.wishes, mpsc::channel(1).1);
    let scripted = async {
        let Some(Wish::Define { asked, answer }) = wishes.recv().await else { panic!("no wish") };
        let job = asked.edits.keys().next().unwrap().clone();
        let done = vec![Done { job, effect: Effect::Created, revision: Some(7) }];
        answer.send(Ok(Defined { done, jobs, ..Defined::default() })).unwrap();
    };
    let asking = world.post("/api/v1/jobs", json!({ "id": "made", "job": {} }));
    let ((), made) = tokio::join!(scripted, asking);
    assert_eq!((made.status, &made.body["job"]), (201, &json!("made")), "{made:?}");
    assert!(made.head.contains(&format!("\r\netag: {}\r\n", made.body["etag"].as_str().unwrap())), "{made:?}");
    let gone = world.get("/api/v1/jobs/made/definition").await;
    assert_eq!(gone.status, 404, "{gone:?}");
}
