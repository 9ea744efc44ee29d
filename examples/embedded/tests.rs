//! The service as its users see it: over HTTP, from its start to its end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};

use crate::{builder, serve};

/// Long enough for a machine that does ten other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks for something: the status, and what comes with it.
async fn ask(address: &str, method: &str, path: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn the_service_runs_pauses_adds_and_forgets_jobs() {
    let scheduler = builder().start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let story = async {
        let jobs = ask(&address, "GET", "/jobs").await;
        let active = |job: &str| json!({ "job": job, "state": "active" });
        assert_eq!(jobs, (200, json!([active("heartbeat"), active("report")])));
        let report = ask(&address, "POST", "/jobs/report/run").await;
        assert_eq!((report.0, &report.1["outcome"]), (200, &json!("succeeded")), "{report:?}");
        assert!(report.1["output"].is_object(), "{report:?}");
        assert_eq!(ask(&address, "POST", "/jobs/report/pause").await.0, 204);
        assert_eq!(ask(&address, "GET", "/jobs").await.1[1], json!({ "job": "report", "state": "paused" }));
        assert_eq!(ask(&address, "POST", "/jobs/report/resume").await.0, 204);

        assert_eq!(ask(&address, "POST", "/reminders/ada").await.0, 201);
        let again = ask(&address, "POST", "/reminders/ada").await;
        assert_eq!((again.0, &again.1["code"]), (409, &json!("job.exists")));
        loop {
            let (_, ends) = ask(&address, "GET", "/ends").await;
            if ends.as_array().unwrap().iter().any(|end| end["job"] == "reminder-ada" && end["outcome"] == "succeeded")
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let wrong = ask(&address, "POST", "/reminders/a%20b").await;
        assert_eq!((wrong.0, &wrong.1["code"]), (422, &json!("job.invalid")));
        assert_eq!(ask(&address, "DELETE", "/reminders/ada").await.0, 204);
        assert_eq!(ask(&address, "DELETE", "/reminders/ada").await.0, 404);
        assert_eq!(ask(&address, "POST", "/jobs/nobody/run").await.0, 404);
        // The scheduler's own API is there for whoever shows a token, and for nobody else.
        assert_eq!(ask(&address, "GET", "/scheduler/readyz").await.0, 200);
        let refused = ask(&address, "GET", "/scheduler/api/v1/jobs/report").await;
        assert_eq!((refused.0, &refused.1["code"]), (401, &json!("access.token")), "{refused:?}");
        stop.send(()).unwrap();
    };
    let service = serve(listener, scheduler, async { drop(stopped.await) });
    let (served, ()) = tokio::time::timeout(PATIENCE, async { tokio::join!(service, story) }).await.unwrap();
    served.unwrap();
}
