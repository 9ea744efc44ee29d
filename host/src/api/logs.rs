//! `/runs/{run}/logs`: what a run logged and wrote; what it says while it goes on, for who follows it.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use clockjack_schedule::{
    id::RunId,
    ports::{Finish, RunState, RunStory, Said},
};
use serde_json::{Value, json};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::Named,
    events::dropped,
    problem::{Problem, Problems},
    query::Query,
    router::Api,
    runs::find,
    sse::{self, Frames, Source},
    view::events::RunLogs,
};
use crate::{
    cli::{ended_attempts, log_json, logs_json, rfc3339},
    shell::{
        journal::{EventFilter, EventKind, Line, Reader, Seat, Seen},
        live::{Follower, LiveLine},
    },
};

/// How often the ledger is asked what became of a run of which nothing is heard: one that was planned may be taken back.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(show))
}

/// What a run logged and wrote: of its last attempt, or of the one that is named. With `follow=true`, or for who accepts
/// `text/event-stream`, a stream: what is there, then each line as it comes, and `end` when the run has ended.
#[utoipa::path(get, path = "/runs/{run}/logs", tag = "runs", params(("run" = String, Path), ("attempt" = Option<u32>, Query, minimum = 1), ("follow" = Option<bool>, Query)), responses((status = 200, content((RunLogs = "application/json"), (String = "text/event-stream"))), Problems))]
pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Named(text): Named,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let attempt = query.number("attempt", 1, u64::from(u32::MAX))?;
    let follow = query.flag("follow")?.unwrap_or_default() || sse::is_wanted(&headers);
    let story = find(&api, &text).await?;
    if !follow {
        return Ok(Json(logs(&api, &story, attempt)?).into_response());
    }
    let run = story.row.run.id;
    let bus = api.host.bus();
    let seat = bus.journal().seat().ok_or_else(sse::too_many)?;
    // In this order: what happens from here on is heard, and what happened before is in the ledger.
    let after = bus.journal().opened().await;
    let reader = bus.journal().reader(Arc::clone(&api.ledger), EventFilter::of_run(run), after);
    let follower = bus.live().follow(run);
    Ok(sse::response(Follow { api, run, reader, follower, n_told: 0, has_begun: false, _seat: seat }))
}

/// The logs of an attempt.
fn logs(api: &Api, story: &RunStory, attempt: Option<u64>) -> Result<Value, Problem> {
    let ended = ended_attempts(story);
    let going = going(story);
    let wanted = attempt.or_else(|| going.map(u64::from));
    let finish = match wanted {
        Some(wanted) => ended.iter().find(|finish| u64::from(finish.n_attempts) == wanted).copied(),
        None => ended.last().copied(),
    };
    if let Some(wanted) = attempt.filter(|wanted| finish.is_none() && going.map(u64::from) != Some(*wanted)) {
        let (run, n_attempts) = (story.row.run.id, ended.len() + usize::from(going.is_some()));
        let detail = format!("run {run} has no attempt {wanted} of which anything is kept");
        return Err(Problem::unknown(
            "attempt.unknown",
            detail,
            format!("it has {n_attempts} attempts, counted from 1"),
        ));
    }
    let mut json = logs_json(story, finish);
    if let Some(number) = going.filter(|_| finish.is_none()) {
        let (n_missed, lines) = api.host.bus().live().follow(story.row.run.id).take();
        json["attempt"] = json!(number);
        live_json(&mut json, lines.into_iter().filter(|line| line.attempt == number), n_missed);
    }
    Ok(json)
}

/// The attempt that goes on.
fn going(story: &RunStory) -> Option<u32> {
    match story.row.state {
        RunState::Open { n_attempts, claimed_at: Some(_), .. } => Some(n_attempts + 1),
        RunState::Open { .. } | RunState::Ended(_) => None,
    }
}

/// What an attempt that goes on has said by now, in the form of one that has ended.
fn live_json(json: &mut Value, lines: impl Iterator<Item = LiveLine>, n_missed: u64) {
    let (mut logs, mut written, mut n_left_out) = (Vec::new(), [String::new(), String::new()], n_missed);
    for line in lines {
        match line.said {
            Said::Log(line) => logs.push(log_json(&line)),
            Said::Wrote { is_stderr, text } => {
                let stream = &mut written[usize::from(is_stderr)];
                stream.push_str(&text);
                stream.push('\n');
            }
            Said::LeftOut(n_lines) => n_left_out += n_lines,
            Said::Progress { .. } => {}
        }
    }
    let [stdout, stderr] = written;
    (json["stdout"], json["stderr"], json["logs"], json["logs_dropped"]) =
        (json!(stdout), json!(stderr), json!(logs), json!(n_left_out));
}

/// A stream of what a run says.
struct Follow {
    api: Arc<Api>,
    run: RunId,
    /// What happens to the run.
    reader: Reader,
    /// What it says.
    follower: Follower,
    /// Up to which attempt everything was told from the ledger.
    n_told: u32,
    has_begun: bool,
    _seat: Seat,
}

impl Source for Follow {
    async fn advance(&mut self, frames: &mut Frames) -> bool {
        if !self.has_begun {
            let goes_on = self.look(frames).await;
            self.has_begun = true;
            return goes_on;
        }
        tokio::select! {
            biased;
            () = self.follower.changed() => {
                self.tell_lines(frames);
                true
            }
            seen = self.reader.next() => match seen {
                Ok(Some(Seen::Event(line))) => self.tell_event(&line, frames),
                Ok(Some(Seen::Gap { .. })) => true,
                Ok(Some(Seen::Dropped)) => {
                    frames.put_json("dropped", &dropped());
                    false
                }
                Ok(Some(Seen::Ended) | None) => false,
                Err(error) => unreadable(frames, &error.to_string()),
            },
            () = tokio::time::sleep(LOOK_EVERY) => self.look(frames).await,
        }
    }
}

impl Follow {
    /// Tells what the ledger has of the run and was not told; answers whether it goes on.
    async fn look(&mut self, frames: &mut Frames) -> bool {
        let story = match self.api.ledger.run(self.run).await {
            Ok(Some(story)) => story,
            Ok(None) => {
                let detail = "the run did not begin: its slot was taken back, or became a skip";
                frames.put_json("end", &json!({ "run": self.run.to_string(), "outcome": null, "detail": detail }));
                return false;
            }
            Err(error) => return unreadable(frames, &error.to_string()),
        };
        // What was said live is not told again, where the end was not heard.
        let n_live = if self.has_begun { going(&story).map_or(u32::MAX, |number| number - 1) } else { self.n_told };
        for finish in ended_attempts(&story).into_iter().filter(|finish| n_live < finish.n_attempts) {
            tell_attempt(finish, frames);
            self.n_told = finish.n_attempts;
        }
        let Some(finish) = story.row.finish() else { return true };
        let outcome = &finish.report.outcome;
        let error = (!outcome.message.is_empty()).then_some(&outcome.message);
        self.tell_lines(frames);
        tell_end(self.run, &json!(outcome.code.as_str()), &json!(error), frames);
        false
    }

    fn tell_lines(&mut self, frames: &mut Frames) {
        let (n_missed, lines) = self.follower.take();
        if 0 < n_missed && self.n_told == 0 {
            frames.put_json("left_out", &json!({ "lines": n_missed }));
        }
        for LiveLine { attempt, at, said } in lines.into_iter().filter(|line| self.n_told < line.attempt) {
            match said {
                Said::Log(line) => {
                    let mut json = log_json(&line);
                    json["attempt"] = json!(attempt);
                    frames.put_json("log", &json);
                }
                Said::Wrote { is_stderr, text } => {
                    let stream = if is_stderr { "stderr" } else { "stdout" };
                    frames.put_json(stream, &json!({ "at": rfc3339(at), "text": text, "attempt": attempt }));
                }
                Said::LeftOut(n_lines) => frames.put_json("left_out", &json!({ "lines": n_lines, "attempt": attempt })),
                Said::Progress { .. } => {}
            }
        }
    }

    /// Tells what happened to the run; answers whether it goes on.
    fn tell_event(&mut self, line: &Line, frames: &mut Frames) -> bool {
        let is = |kind: EventKind| *line.kind == *kind.as_str();
        // What it said before it ended comes before its end.
        self.tell_lines(frames);
        let event: Value = serde_json::from_str(&line.text).unwrap_or_default();
        if is(EventKind::RunFinished) {
            tell_end(self.run, &event["outcome"], &event["error"], frames);
            return false;
        }
        if is(EventKind::RunSkipped) || is(EventKind::RunMissed) {
            let end = json!({ "run": self.run.to_string(), "outcome": null, "detail": "the run did not begin", "reason": event["reason"] });
            frames.put_json("end", &end);
            return false;
        }
        if is(EventKind::RunRetrying) || is(EventKind::RunProgress) || is(EventKind::RunStarted) {
            frames.put(None, line.kind.trim_start_matches("run."), &line.text);
        }
        true
    }
}

/// Tells what an attempt has left.
fn tell_attempt(finish: &Finish, frames: &mut Frames) {
    let (report, attempt) = (&finish.report, finish.n_attempts);
    for line in &report.logs {
        let mut json = log_json(line);
        json["attempt"] = json!(attempt);
        frames.put_json("log", &json);
    }
    if 0 < report.n_logs_dropped {
        frames.put_json("left_out", &json!({ "lines": report.n_logs_dropped, "attempt": attempt }));
    }
    for (stream, captured) in [("stdout", &report.stdout), ("stderr", &report.stderr)] {
        for text in captured.text.lines() {
            frames.put_json(stream, &json!({ "at": null, "text": text, "attempt": attempt }));
        }
    }
}

fn tell_end(run: RunId, outcome: &Value, error: &Value, frames: &mut Frames) {
    frames.put_json("end", &json!({ "run": run.to_string(), "outcome": outcome, "error": error }));
}

fn unreadable(frames: &mut Frames, why: &str) -> bool {
    frames.put_json("error", &json!({ "code": "ledger.unavailable", "detail": why }));
    false
}
