//! `/jobs`, for whoever reads: a list by pages, one job, and slots that became no run.
//!
//! What is in force is read from the host's own list, and what became of it from the ledger, one page at a time: a host may
//! have a million jobs.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State};
use clockjack_schedule::{
    id::JobId,
    job,
    ports::{JobFilter, JobStory},
};
use utoipa::openapi::{
    Type,
    schema::{Array, ArrayBuilder, ObjectBuilder},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    asked::Named,
    problem::{Problem, Problems},
    query::Query,
    router::Api,
    view::jobs::{Job, JobDetail, JobOrigin, JobPhase, Jobs, Known},
};
use crate::{
    hot::{self, JobState, JobView},
    operate::{PauseNote, Pauses, Whose, pause_of},
};

/// How many jobs are looked at for one page. Whoever looks for few among many goes on with the next page.
const SEEN_MAX: usize = 20_000;

/// How much a filter may say: labels, characters of each, characters of what is looked for, characters of a name.
const LABELS_MAX: usize = 16;
const LABEL_CHARS_MAX: usize = 512;
const WORDS_CHARS_MAX: usize = 200;
const NAME_CHARS_MAX: usize = 128;

/// How many are read at once.
const CHUNK: usize = 500;

/// Its routes.
pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show))
}

/// What is asked of a list of jobs.
#[derive(Debug, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters; `Wanted` reads them")]
struct JobsAsked {
    /// Only jobs with this label, as `KEY:VALUE`, or with a label of this key; may be repeated, and all have to fit.
    #[param(required = false, schema_with = labels, example = json!(["team:finance"]))]
    label: Vec<String>,
    /// Only jobs in whose id or description this stands; upper and lower case are the same.
    #[param(max_length = 200)]
    q: Option<String>,
    /// Only jobs of this plugin.
    #[param(max_length = 128)]
    plugin: Option<String>,
    /// Only jobs of this pool.
    #[param(max_length = 128)]
    pool: Option<String>,
    /// Only jobs that come from there.
    #[param(inline)]
    origin: Option<JobOrigin>,
    /// Only jobs that are so.
    #[param(inline)]
    state: Option<JobPhase>,
    /// How many at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
    /// `next` of the page before.
    #[param(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length = 128)]
    cursor: Option<String>,
}

fn labels() -> Array {
    let label = ObjectBuilder::new().schema_type(Type::String).max_length(Some(LABEL_CHARS_MAX));
    ArrayBuilder::new().items(label).max_items(Some(LABELS_MAX)).build()
}

/// The same as it was asked.
struct Wanted {
    labels: Vec<String>,
    q: Option<String>,
    plugin: Option<String>,
    pool: Option<String>,
    origin: Option<JobOrigin>,
    state: Option<JobPhase>,
    limit: usize,
    cursor: Option<JobId>,
}

/// The words of states.
fn phases() -> [(&'static str, JobPhase); 6] {
    JobPhase::ALL.map(|phase| match phase {
        JobPhase::NotInTheManifest => ("not_in_the_manifest", phase),
        JobPhase::Active | JobPhase::Paused | JobPhase::New | JobPhase::Removed | JobPhase::Broken => {
            (phase.as_str(), phase)
        }
    })
}

impl Wanted {
    fn read(mut query: Query) -> Result<Self, Problem> {
        let wanted = Self {
            labels: query.texts("label", LABELS_MAX, LABEL_CHARS_MAX)?,
            q: query.text("q", WORDS_CHARS_MAX)?.map(|q| q.to_lowercase()).filter(|q| !q.is_empty()),
            plugin: query.text("plugin", NAME_CHARS_MAX)?,
            pool: query.text("pool", NAME_CHARS_MAX)?,
            origin: query.word("origin", &JobOrigin::ALL)?,
            state: query.word("state", &phases())?,
            limit: query.limit()?,
            cursor: query.read("cursor", "write `next` of the page before, as it stands")?,
        };
        Ok(wanted)
    }

    /// Whether only a definition can fit.
    fn is_of_definitions(&self) -> bool {
        !self.labels.is_empty() || self.plugin.is_some() || self.pool.is_some()
    }

    /// Whether a definition fits, or an id that has none.
    fn fits(&self, view: Option<&JobView>, id: &JobId, job: Option<&job::Job>) -> bool {
        if self.origin.is_some_and(|origin| !view.is_some_and(|view| origin.is_of(&view.origin))) {
            return false;
        }
        let Some(job) = job else {
            return !self.is_of_definitions() && self.q.as_ref().is_none_or(|q| id.as_str().to_lowercase().contains(q));
        };
        let says = |q: &String| {
            let description = job.description.as_deref().unwrap_or_default();
            id.as_str().to_lowercase().contains(q) || description.to_lowercase().contains(q)
        };
        self.defines(job) && self.q.as_ref().is_none_or(says)
    }

    /// Whether a definition is one of those that are wanted.
    fn defines(&self, job: &job::Job) -> bool {
        let has = |label: &String| match label.split_once(':') {
            Some((key, value)) => job.labels.get(key).is_some_and(|known| known == value),
            None => job.labels.contains_key(label),
        };
        self.labels.iter().all(has)
            && self.plugin.as_ref().is_none_or(|plugin| job.plugin.as_str() == plugin)
            && self.pool.as_ref().is_none_or(|pool| job.pool.as_str() == pool)
    }
}

/// All jobs, by id: those that are in force, and those of which there still is a history.
#[utoipa::path(get, path = "/jobs", tag = "jobs", operation_id = "list_jobs", params(JobsAsked), responses((status = 200, body = Jobs), Problems))]
async fn list(State(api): State<Arc<Api>>, query: Query) -> Result<Json<Jobs>, Problem> {
    let wanted = Wanted::read(query)?;
    let notes = Pauses::all(&*api.ledger).await?.into_iter().collect();
    let mut cursor = wanted.cursor.clone();
    let (mut items, mut n_seen) = (Vec::new(), 0);
    loop {
        let page = Page::read(&api, &wanted, cursor.as_ref()).await?;
        let origins = api.reloader.jobs();
        n_seen += page.n_seen;
        for (id, (job, story)) in &page.jobs {
            let view = origins.get(id);
            if !wanted.fits(view.as_ref(), id, job.as_deref()) {
                continue;
            }
            let known = known(&api, id, view.as_ref(), job.as_deref(), story.as_ref(), &notes);
            if wanted.state.is_some_and(|state| state != known.state) {
                continue;
            }
            if items.len() == wanted.limit {
                // There is another one; the next page begins with it.
                let next = items.last().map(|last: &Job| last.job.clone());
                return Ok(Json(Jobs { items, next }));
            }
            items.push(shown(&origins, view.as_ref(), Job::from(&known)));
        }
        let Some(last) = page.last else { return Ok(Json(Jobs { items, next: None })) };
        if SEEN_MAX <= n_seen {
            return Ok(Json(Jobs { items, next: Some(last.to_string()) }));
        }
        cursor = Some(last);
    }
}

/// Some jobs that follow each other.
#[derive(Default)]
struct Page {
    jobs: BTreeMap<JobId, (Option<Arc<job::Job>>, Option<JobStory>)>,
    /// Up to where they go; absent where nothing follows.
    last: Option<JobId>,
    n_seen: usize,
}

impl Page {
    async fn read(api: &Api, wanted: &Wanted, beyond: Option<&JobId>) -> Result<Self, Problem> {
        if wanted.is_of_definitions() {
            Self::of_definitions(api, wanted, beyond).await
        } else {
            Self::of_all(api, wanted, beyond).await
        }
    }

    /// Those that are in force and fit; the ledger is asked of them alone.
    async fn of_definitions(api: &Api, wanted: &Wanted, beyond: Option<&JobId>) -> Result<Self, Problem> {
        let mut page = Self { last: beyond.cloned(), ..Self::default() };
        while page.jobs.len() < CHUNK && page.n_seen < SEEN_MAX {
            let jobs = api.host.jobs().page(page.last.as_ref(), CHUNK);
            page.n_seen += jobs.len();
            page.last = jobs.last().map(|job| job.id.clone());
            let fit = jobs.into_iter().filter(|job| wanted.defines(job));
            page.jobs.extend(fit.map(|job| (job.id.clone(), (Some(job), None))));
            if page.last.is_none() {
                break;
            }
        }
        let filter = JobFilter { only: Some(page.jobs.keys().cloned().collect()), ..JobFilter::default() };
        for story in api.ledger.jobs(filter).await? {
            if let Some((_, place)) = page.jobs.get_mut(&story.row.state.job) {
                *place = Some(story);
            }
        }
        Ok(page)
    }

    /// Those of the ledger, and those that are in force and that it has not heard of yet.
    async fn of_all(api: &Api, wanted: &Wanted, beyond: Option<&JobId>) -> Result<Self, Problem> {
        // One more than is asked for tells whether there is another page. Where few may fit, more are looked at.
        let is_any = wanted.q.is_none() && wanted.state.is_none() && wanted.origin.is_none();
        let n_max = if is_any { CHUNK.min(wanted.limit + 1) } else { CHUNK };
        let stories = api.ledger.jobs(JobFilter { only: None, beyond: beyond.cloned(), n_max }).await?;
        let jobs = api.host.jobs().page(beyond, n_max);
        // Up to the end of the one that ends first nothing is missing.
        let of_ledger = stories.last().filter(|_| n_max <= stories.len()).map(|story| story.row.state.job.clone());
        let in_force = jobs.last().filter(|_| n_max <= jobs.len()).map(|job| job.id.clone());
        let last = of_ledger.into_iter().chain(in_force).min();
        let mut page = Self { n_seen: stories.len().max(jobs.len()), last, ..Self::default() };
        for job in jobs {
            page.jobs.insert(job.id.clone(), (Some(job), None));
        }
        for story in stories {
            let id = story.row.state.job.clone();
            let (_, place) = page.jobs.entry(id.clone()).or_insert_with(|| (api.host.jobs().get(&id), None));
            *place = Some(story);
        }
        let last = page.last.clone();
        let is_in = |id: &JobId| last.as_ref().is_none_or(|last| id <= last);
        // What was given to the host and does not fit is in force nowhere.
        for id in api.reloader.jobs().given().definitions.keys() {
            if beyond.is_none_or(|beyond| beyond < id) {
                page.jobs.entry(id.clone()).or_default();
            }
        }
        page.jobs.retain(|id, _| is_in(id));
        Ok(page)
    }
}

/// How a job is, with all that is known of it.
fn known<'k>(
    api: &Api,
    id: &'k JobId,
    view: Option<&JobView>,
    job: Option<&'k job::Job>,
    story: Option<&'k JobStory>,
    notes: &'k BTreeMap<Whose, PauseNote>,
) -> Known<'k> {
    let row = story.map(|story| &story.row);
    let is_removed = row.is_some_and(|row| row.state.removed_at.is_some());
    let is_paused = match (row, job) {
        (Some(row), _) => row.state.paused,
        (None, Some(job)) => job.policy.paused,
        (None, None) => false,
    };
    let state = match job {
        Some(_) if is_paused => JobPhase::Paused,
        Some(_) => JobPhase::Active,
        None if view.is_some_and(|view| matches!(view.state, JobState::Broken { .. })) => JobPhase::Broken,
        None if is_removed => JobPhase::Removed,
        None => JobPhase::NotInTheManifest,
    };
    let (last, pause) = (story.and_then(|story| story.last.as_ref()), pause_of(notes, row));
    Known { id, job, row, last, pause, state, now: api.clock.now() }
}

/// A job with where it comes from.
fn shown(origins: &hot::Jobs, view: Option<&JobView>, job: Job) -> Job {
    match view {
        Some(view) => {
            let etag = origins.etag(view);
            job.from_where(view, etag)
        }
        None => job,
    }
}

/// A job, with all that holds for it.
#[utoipa::path(get, path = "/jobs/{job}", tag = "jobs", operation_id = "get_job", params(("job" = String, Path)), responses((status = 200, body = JobDetail), Problems))]
async fn show(State(api): State<Arc<Api>>, Named(name): Named) -> Result<Json<JobDetail>, Problem> {
    let Ok(id) = name.parse::<JobId>() else { return Err(api.unknown_job(&name)) };
    let only = JobFilter { only: Some(vec![id.clone()]), ..JobFilter::default() };
    let story = api.ledger.jobs(only).await?.pop();
    let job = api.host.jobs().get(&id);
    let origins = api.reloader.jobs();
    let view = origins.get(&id);
    if job.is_none() && story.is_none() && view.is_none() {
        return Err(api.unknown_job(&name));
    }
    let notes = Pauses::all(&*api.ledger).await?.into_iter().collect();
    let mut detail = JobDetail::from(&known(&api, &id, view.as_ref(), job.as_deref(), story.as_ref(), &notes));
    detail.job = shown(&origins, view.as_ref(), detail.job);
    // The tag is that of the definition. What is told here changes without it, so it is no header of this answer.
    Ok(Json(detail))
}
