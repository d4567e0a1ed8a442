//! Requests and their answers.

use super::limits::{CUTTERS_MAX, FLV_SAMPLE_BYTES, MP4_SAMPLE_BYTES};
use super::movie::{self, NoMovie, Show};
use super::name::{self, BadMoment, Cut, File, Moment, SegmentId, SpanId, Whole};
use super::picture::{Makers, NoPicture, Source};
use super::pieces::PlannedFile;
use super::plan::{Plan, PlanReader};
use super::plans::{self, NoPlan};
use super::timeline::{self, Part, Timeline};
use super::{dash, flv, hls, segments};
use crate::Env;
use crate::feed::feed;
use crate::http::{Ranged, problem};
use crate::record::Entry;
use api::Recording;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use engine::host::Keyframe;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use media::container::fmp4::{self, SampleRun};
use media::{Codec, Kind, Time, TrackId};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

const PLAYLIST: &str = "application/vnd.apple.mpegurl";
const MANIFEST: &str = "application/dash+xml";

/// How long a name that says all may be kept. Who deletes a recording wants it gone from caches, too.
const IMMUTABLE: &str = "public, max-age=3600, immutable";
/// What may be another file by the next time.
const ASK_AGAIN: &str = "no-cache";
/// A playlist that is complete, unless somebody deletes the recording.
const COMPLETE: &str = "public, max-age=60";
/// A playlist that grows by a segment every few seconds.
const GROWING: &str = "public, max-age=2";

/// Lists of a time of a recording in segments that are made at this moment. Those beyond wait.
static CUTTING: Semaphore = Semaphore::const_new(CUTTERS_MAX);

/// A request that the policy has let in.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) entry: Arc<Entry>,
    /// What it came with, without `?`.
    pub(crate) query: String,
    /// What other addresses of the same recording need in theirs: `key=...`, a signature, or nothing.
    pub(crate) keys: String,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
}

/// Why a request is not answered as it wants.
#[derive(Debug)]
pub(crate) struct Refusal(pub(super) StatusCode, pub(super) String);

impl From<BadMoment> for Refusal {
    fn from(BadMoment(name): BadMoment) -> Self {
        Self(
            StatusCode::BAD_REQUEST,
            format!("{name}= is no time: write seconds (12.5), or 2026-11-23T04:30:00Z."),
        )
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a recording cannot be read");
        match error.kind() {
            io::ErrorKind::NotFound => {
                Self(StatusCode::NOT_FOUND, "A file of the recording is gone.".to_owned())
            }
            _ => Self(
                StatusCode::SERVICE_UNAVAILABLE,
                "The recording cannot be read now; ask again.".to_owned(),
            ),
        }
    }
}

impl From<Refusal> for Response {
    fn from(Refusal(status, detail): Refusal) -> Self {
        problem(status, detail)
    }
}

fn nothing(detail: &str) -> Refusal {
    Refusal(StatusCode::NOT_FOUND, detail.to_owned())
}

pub(super) fn no_time() -> Refusal {
    nothing("Nothing was recorded in that time.")
}

/// Answers `/recordings/ID.EXT`.
pub(crate) async fn whole(env: Arc<Env>, asked: Asked, form: Whole) -> Response {
    let answered = match form {
        Whole::Hls if asked.entry.is_in_segments() && !super::wants_mp4(&asked.query) => {
            asked.part_of_segments().await
        }
        Whole::Hls | Whole::Dash => asked.playlist(&env, form, None).await,
        Whole::Mp4 | Whole::Flv => asked.movie(&env, form).await,
    };
    answered.unwrap_or_else(Response::from)
}

/// Answers `/recordings/ID/NAME`; `None` if nothing is called so.
pub(crate) async fn file(env: Arc<Env>, asked: Asked, name: &str) -> Option<Response> {
    let answered = match File::parse(name)? {
        File::Playlist(track) => asked.playlist(&env, Whole::Hls, Some(track)).await,
        File::Init(track, span) => asked.init(&env, track, span).await,
        File::Segment(track, id) => asked.segment(&env, track, id).await,
        File::Cut(cut) => asked.cut(&env, cut).await,
        File::Poster => asked.poster(&env).await,
        File::PosterJpeg => asked.poster_jpeg(&env).await,
    };
    Some(answered.unwrap_or_else(Response::from))
}

/// The time that is asked for.
struct Window {
    from: Option<Moment>,
    to: Option<Moment>,
}

/// Longer than anything that is recorded.
const FOREVER: Time = Time::from_nanos(i64::MAX / 4);

impl Window {
    fn parse(query: &str) -> Result<Self, BadMoment> {
        Ok(Self { from: name::moment(query, "from")?, to: name::moment(query, "to")? })
    }

    fn is_all(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    fn resolve(&self, description: &Recording) -> Range<Time> {
        let at =
            |moment: Option<Moment>, or| moment.map_or(or, |moment| timeline::resolve(description, moment));
        at(self.from, Time::ZERO)..at(self.to, FOREVER)
    }

    /// What addresses of the same time have in their query, and what else they need.
    fn query(&self, resolved: &Range<Time>, opening: Duration, keys: &str) -> String {
        let seconds =
            |name, time: Time| format!("{name}={:.3}", (time - opening).since(Time::ZERO).as_secs_f64());
        let parts = [
            self.from.map(|_| seconds("from", resolved.start)),
            self.to.map(|_| seconds("to", resolved.end)),
            (!keys.is_empty()).then(|| keys.to_owned()),
        ];
        as_query(&parts.into_iter().flatten().collect::<Vec<_>>().join("&"))
    }
}

fn as_query(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("?{text}") }
}

impl Asked {
    /// The recording, as far as it is in the time that is asked for.
    async fn load(&self, env: &Env, window: &Window) -> Result<(Timeline, Range<Time>), Refusal> {
        let loaded =
            Timeline::load(&env.vod.indexes, &self.entry, |description| window.resolve(description)).await?;
        if loaded.1.is_empty() {
            return Err(Refusal(StatusCode::BAD_REQUEST, "to= must lie behind from=.".to_owned()));
        }
        Ok(loaded)
    }

    async fn playlist(&self, env: &Env, form: Whole, track: Option<TrackId>) -> Result<Response, Refusal> {
        let window = Window::parse(&self.query)?;
        let (timeline, range) = self.load(env, &window).await?;
        let folder = self.entry.id.to_string();
        let query = window.query(&range, timeline.opening, &self.keys);
        let keys = as_query(&self.keys);
        let cache = if timeline.complete { COMPLETE } else { GROWING };
        // Every sample of a day is looked at.
        let written = tokio::task::spawn_blocking(move || -> Result<_, Refusal> {
            let is_empty =
                timeline.tracks().iter().all(|id| hls::segments(&timeline, *id, &range).is_empty());
            if is_empty && !timeline.complete {
                let detail = "The recording has only begun; ask again in a few seconds.".to_owned();
                return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, detail));
            }
            if is_empty {
                return Err(no_time());
            }
            Ok(match (form, track) {
                (_, Some(id)) => {
                    let text = hls::media(&timeline, id, &range, &keys);
                    (text.ok_or_else(|| nothing("The recording has no such track."))?, PLAYLIST)
                }
                (Whole::Dash, None) => (dash::manifest(&timeline, &range, &folder, &keys), MANIFEST),
                (_, None) => (hls::multivariant(&timeline, &range, &folder, &query), PLAYLIST),
            })
        });
        let (text, media) = written.await.map_err(io::Error::other)??;
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(media)),
            (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        ];
        Ok((headers, Body::from(text)).into_response())
    }

    /// The part of this name. Without its place in the recording, which its description alone may not say.
    async fn part(&self, env: &Env, id: SpanId) -> Result<Part, Refusal> {
        let gone = || nothing("The recording has no such media.");
        let description = self.entry.describe();
        let named = |file: &api::RecordedFile| {
            crate::record::FileName::parse(&file.name).filter(|name| timeline::number(name) == Some(id.file))
        };
        let found =
            description.files.iter().enumerate().find_map(|(at, file)| Some((at, file, named(file)?)));
        let (at, file, name) = found.ok_or_else(gone)?;
        let form = timeline::form(&description, file, at + 1 == description.files.len());
        let index = env.vod.indexes.get(&self.entry, &name, form).await?;
        let span = index.spans.get(id.span as usize).ok_or_else(gone)?.clone();
        Ok(Part { id, file: index.planned(), span, start_ms: 0, date: None })
    }

    /// The playlist of a time of a recording that consists of segments.
    async fn part_of_segments(&self) -> Result<Response, Refusal> {
        let window = Window::parse(&self.query)?;
        let description = self.entry.describe();
        let at =
            |moment: Option<Moment>, or| moment.map_or(or, |moment| segments::resolve(&description, moment));
        let range = at(window.from, Time::ZERO)..at(window.to, FOREVER);
        if range.is_empty() {
            return Err(Refusal(StatusCode::BAD_REQUEST, "to= must lie behind from=.".to_owned()));
        }
        // Only a few at once: each reads the whole list, and two segments.
        let _turn = CUTTING.acquire().await.map_err(io::Error::other)?;
        let (list, _) = segments::List::read(&self.entry).await?;
        let part = list.part(&self.entry, range).await?.ok_or_else(no_time)?;
        let cache = if part.is_complete { COMPLETE } else { GROWING };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static(PLAYLIST)),
            (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        ];
        let (folder, query) = (format!("/recordings/{}", self.entry.id), as_query(&self.keys));
        let written = tokio::task::spawn_blocking(move || part.playlist(&folder, &query));
        let text = written.await.map_err(io::Error::other)?;
        Ok((headers, Body::from(text)).into_response())
    }

    async fn cut(&self, env: &Arc<Env>, cut: Cut) -> Result<Response, Refusal> {
        let (name, source) = segments::open(&self.entry, cut.file).await?;
        if source.bytes() < cut.end {
            return Err(nothing("The segment has no such part."));
        }
        let version = source.version();
        let mut plan = Plan::of(vec![PlannedFile { name, version, blocks: None, tracks: 1 }]);
        plan.copy(0, 0, cut.front);
        plan.copy(0, cut.begin, cut.end - cut.begin);
        Ok(self.media(env, plan.into(), HeaderValue::from_static("video/mp2t"), IMMUTABLE))
    }

    async fn init(&self, env: &Arc<Env>, track: TrackId, id: SpanId) -> Result<Response, Refusal> {
        let part = self.part(env, id).await?;
        let track = part.span.track(track).ok_or_else(|| nothing("The recording has no such track."))?;
        let mut plan = Plan::default();
        plan.make(|out| fmp4::write_init(std::slice::from_ref(&track.written), out)).map_err(refused)?;
        Ok(self.media(env, plan.into(), content_type(track.media.id), IMMUTABLE))
    }

    async fn segment(&self, env: &Arc<Env>, track: TrackId, id: SegmentId) -> Result<Response, Refusal> {
        let part = self.part(env, id.span).await?;
        let track = part.span.track(track).ok_or_else(|| nothing("The recording has no such track."))?;
        let start = timeline::start(id.start_ms).to_ticks(track.media.timescale);
        let local = |ticks: u64| i64::try_from(ticks).unwrap_or(i64::MAX).saturating_sub(start);
        let segment = part.span.segment(track, local(id.time), id.end.map(local));
        let segment = segment.ok_or_else(|| nothing("There is no such segment, or not yet."))?;
        let samples: Vec<_> = track.samples.range(segment.samples.clone()).copied().collect();
        let run = SampleRun {
            track: &track.written,
            samples: &samples,
            end: track.decoded(segment.samples.end).saturating_sub(track.shift),
            shift: track.shift.saturating_add(start),
        };
        let mut plan = Plan::of(vec![part.file]);
        plan.make(|out| {
            fmp4::write_segment_type(out);
            fmp4::write_sample_fragment(track.number(segment.samples.start), &[run], out)
        })
        .map_err(refused)?;
        samples.iter().for_each(|sample| plan.copy(0, sample.position, sample.size.into()));
        Ok(self.media(env, plan.into(), content_type(track.media.id), IMMUTABLE))
    }

    async fn movie(&self, env: &Arc<Env>, form: Whole) -> Result<Response, Refusal> {
        let window = Window::parse(&self.query)?;
        let (timeline, range) = self.load(env, &window).await?;
        let mut hasher = DefaultHasher::new();
        (self.entry.id.as_str(), form == Whole::Mp4, window.is_all(), &range).hash(&mut hasher);
        for part in &timeline.parts {
            (part.id.file, part.id.span, part.start_ms, part.file.version, part.span.length)
                .hash(&mut hasher);
        }
        let key = hasher.finish();
        let of_sample = if form == Whole::Flv { FLV_SAMPLE_BYTES } else { MP4_SAMPLE_BYTES };
        let bytes = plans::samples(&timeline, &range).saturating_mul(of_sample);
        let shown = (!window.is_all()).then_some(range.clone());
        let make = move || match form {
            Whole::Flv => flv::file(&timeline, &range).ok_or(NoMovie::Empty),
            _ => movie::movie(&timeline, shown.as_ref(), Show::Exact),
        };
        let plan = match env.vod.plans.get(key, bytes, make).await {
            Ok(plan) => plan,
            Err(NoPlan::Refused(why)) => return Err(self.no_movie(why)),
            Err(NoPlan::Failed(error)) => return Err(error.into()),
            Err(NoPlan::TooLarge) => {
                let detail = "That is too long for one file: take a shorter time, with from= and to=.";
                return Err(Refusal(StatusCode::CONFLICT, detail.to_owned()));
            }
            Err(NoPlan::Busy) => {
                let detail = "Too many files are being put together; ask again in a while.";
                return Err(Refusal(StatusCode::SERVICE_UNAVAILABLE, detail.to_owned()));
            }
        };
        let media = if form == Whole::Flv { "video/x-flv" } else { "video/mp4" };
        let etag = format!("\"{:x}-{key:x}\"", plan.bytes());
        Ok(self.ranged(env, plan, media, ASK_AGAIN, HeaderValue::try_from(etag).ok()))
    }

    fn no_movie(&self, why: NoMovie) -> Refusal {
        no_movie(&self.entry, why)
    }

    /// One keyframe as a file that a page can show.
    async fn poster(&self, env: &Arc<Env>) -> Result<Response, Refusal> {
        let poster = poster(env, &self.entry, &self.query).await?;
        Ok(self.media(env, Arc::new(poster.file), HeaderValue::from_static("video/mp4"), COMPLETE))
    }

    /// The same as a picture.
    async fn poster_jpeg(&self, env: &Arc<Env>) -> Result<Response, Refusal> {
        let Poster { file, frame, codec, record } = poster(env, &self.entry, &self.query).await?;
        let keyframe = Keyframe { codec, record, payload: Bytes::new() };
        let file = async || Ok::<_, Refusal>(read_all(file, self.entry.clone()).await?);
        let (pictures, makers) = (&env.vod.pictures, makers(env));
        let made = match makers.takes(&keyframe) {
            true => {
                let payload = read_all(frame, self.entry.clone()).await?;
                pictures.get_of_either(makers, Keyframe { payload, ..keyframe }, file).await?
            }
            false => pictures.get(makers, Source::File(file().await?)).await?,
        };
        Ok(jpeg(made, COMPLETE))
    }

    /// What its name says all of.
    fn media(&self, env: &Arc<Env>, plan: Arc<Plan>, media: HeaderValue, cache: &'static str) -> Response {
        let mut response = self.ranged(env, plan, "", cache, None);
        response.headers_mut().insert(header::CONTENT_TYPE, media);
        response
    }

    fn ranged(
        &self,
        env: &Arc<Env>,
        plan: Arc<Plan>,
        media: &'static str,
        cache: &'static str,
        etag: Option<HeaderValue>,
    ) -> Response {
        let ranged = Ranged { length: plan.bytes(), etag, media, cache };
        let reader = PlanReader::new(plan, self.entry.clone());
        ranged.answer(&self.method, &self.headers, |range| {
            feed(reader, range, env.config.http.write_timeout(), env.shutdown.clone())
        })
    }
}

/// Says why there is no file, and what to do instead.
pub(super) fn no_movie(entry: &Entry, why: NoMovie) -> Refusal {
    match why {
        NoMovie::Empty => no_time(),
        NoMovie::Refused(why) => {
            Refusal(StatusCode::CONFLICT, format!("No MP4 file can be made of it: {why}."))
        }
        NoMovie::Differs => {
            const NAMED_MAX: usize = 10;
            let id = &entry.id;
            let files = entry.describe().files;
            let names: Vec<_> =
                files.iter().take(NAMED_MAX).map(|file| format!("/recordings/{id}/{}", file.name)).collect();
            let more = if files.len() > NAMED_MAX { ", ..." } else { "" };
            Refusal(
                StatusCode::CONFLICT,
                format!(
                    "The tracks of the recording change, and one MP4 file cannot: take {}{more}, or \
                         /recordings/{id}.m3u8, or a time of it with from= and to=.",
                    names.join(", ")
                ),
            )
        }
    }
}

fn refused(error: media::container::Error) -> Refusal {
    Refusal(StatusCode::CONFLICT, format!("This media has no form in MP4: {error}."))
}

fn content_type(track: TrackId) -> HeaderValue {
    HeaderValue::from_static(if track.kind == Kind::Audio { "audio/mp4" } else { "video/mp4" })
}

/// How long a poster is: something to show has some length.
const POSTER: Duration = Duration::from_millis(100);

/// A keyframe of a recording.
struct Poster {
    /// A file with nothing else.
    file: Plan,
    /// The frame alone, and what it is.
    frame: Plan,
    codec: Codec,
    record: Bytes,
}

/// A keyframe of a recording: that at `at=` or before, else of a tenth of it: it rarely begins with what it is about.
async fn poster(env: &Env, entry: &Arc<Entry>, query: &str) -> Result<Poster, Refusal> {
    let at = name::moment(query, "at")?;
    let moment = |description: &Recording| match at {
        Some(at) => timeline::resolve(description, at),
        None => Time::ZERO + Duration::from_millis(description.duration_ms / 10),
    };
    let window = |description: &Recording| {
        let at = moment(description);
        at..at + Duration::from_nanos(1)
    };
    let (timeline, window) = Timeline::load(&env.vod.indexes, entry, window).await?;
    let no_picture = || nothing("There is no picture in that time.");
    let begun = timeline.parts.iter().rev().find(|part| part.start() <= window.start);
    let part = begun.ok_or_else(no_picture)?;
    let track = part.span.main().filter(|track| track.media.id.kind == Kind::Video).ok_or_else(no_picture)?;
    let local = part.local(&window).start.to_ticks(track.media.timescale);
    let index = track.entrance_until(local);
    let sample = track.samples.get(index).filter(|sample| sample.flags.keyframe).ok_or_else(no_picture)?;
    let mut plan = Plan::of(vec![part.file.clone()]);
    let end = sample.dts.saturating_add((Time::ZERO + POSTER).to_ticks(track.media.timescale));
    let samples = std::slice::from_ref(sample);
    plan.make(|out| fmp4::write_progressive(&[(&track.written, samples, end)], out)).map_err(refused)?;
    plan.copy(0, sample.position, sample.size.into());
    let mut frame = Plan::of(vec![part.file.clone()]);
    frame.copy(0, sample.position, sample.size.into());
    let record = track.media.config.clone();
    Ok(Poster { file: plan, frame, codec: track.media.codec, record })
}

/// All bytes of a plan.
async fn read_all(plan: Plan, entry: Arc<Entry>) -> io::Result<Bytes> {
    let length = plan.bytes();
    let mut reader = PlanReader::new(Arc::new(plan), entry);
    let mut all = BytesMut::new();
    while (all.len() as u64) < length {
        all.extend_from_slice(&reader.read(all.len() as u64..length).await?);
    }
    Ok(all.freeze())
}

/// Who makes pictures here.
pub(super) fn makers(env: &Env) -> Makers<'_> {
    let launch = env.transcoding.launch();
    Makers {
        engine: launch.map(|launch| (launch, env.config.transcode.nice)),
        program: &env.config.record.ffmpeg,
    }
}

impl From<NoPicture> for Refusal {
    fn from(why: NoPicture) -> Self {
        match why {
        NoPicture::NoProgram | NoPicture::NoDecoder => Refusal(
            StatusCode::NOT_IMPLEMENTED,
            "JPEG of this needs the program ffmpeg: install it, or name it in record.ffmpeg; .mp4 instead of .jpg works without."
                .to_owned(),
        ),
        NoPicture::Busy => Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "Many pictures are being made; ask again in some seconds, or for .mp4 instead of .jpg.".to_owned(),
        ),
        NoPicture::Failed => Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "No picture came of this; .mp4 instead of .jpg may be shown by a browser.".to_owned(),
        ),
        NoPicture::Passing => Refusal(
            StatusCode::SERVICE_UNAVAILABLE,
            "No picture could be made in time; ask again in some seconds, or for .mp4 instead of .jpg.".to_owned(),
        ),
        }
    }
}

/// Answers with a picture.
pub(super) fn jpeg(picture: Bytes, cache: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg")),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
    ];
    (headers, picture).into_response()
}
