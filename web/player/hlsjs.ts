import Hls, { ErrorTypes, Events, type ErrorData, type FragLoadedData } from 'hls.js';
import { PartsAbr } from './parts';
import { recall } from './rungs/memory';
import type { HlsRequest, HlsSource } from './hls';

// hls.js fetches the playlist and fills media sources. The light build has no
// renditions of sound, which our playlists use.

/** Repairs of the decoder in a row after which it is not going to play. */
const REPAIRS_MAX = 3;
/** How much faster than its clock a live stream is played to come nearer to its edge. */
const CATCH_UP = 1.1;
/** Seconds kept behind the playhead, for going back without a request. */
const KEEP_BEHIND_S = 60;
/** Segments of each kind that the bit rate is taken from. */
const RATED = 5;
/** What a network carries of which nothing is known: enough for most streams, for rungs that nobody watches have to be begun first. */
const UNKNOWN_BPS = 10_000_000;
const SOUND = /^(mp4a|opus|flac|[ae]c-3)/i;

export function hlsJsSource(video: HTMLVideoElement, request: HlsRequest): HlsSource {
  const { kind } = request;
  const live = kind === 'live';
  const estimate = recall().bps ?? UNKNOWN_BPS;
  const hls = new Hls({
    // A picture of more pixels than are shown is sent for nothing.
    capLevelToPlayerSize: true,
    abrController: PartsAbr,
    abrEwmaDefaultEstimate: estimate,
    abrEwmaDefaultEstimateMax: estimate,
    startLevel: -1,
    testBandwidth: false,
    // fMP4 needs no remuxing that would be worth a thread, and short TS segments hardly.
    enableWorker: false,
    lowLatencyMode: live,
    maxLiveSyncPlaybackRate: live ? CATCH_UP : 1,
    backBufferLength: KEEP_BEHIND_S,
    ...(kind === 'recording' ? { startPosition: request.from ?? 0 } : {}),
    // Where to begin behind live.
    ...(kind === 'rewind' && request.from !== undefined ? { liveSyncDuration: request.from } : {}),
  });
  let repairs = 0;
  let manifest = false;
  const rates = new Map<string, number[]>();
  /** What the segments themselves say; a playlist need not. */
  const codecs: { video?: string | undefined; audio?: string | undefined } = {};

  hls.on(Events.MANIFEST_PARSED, () => {
    manifest = true;
    request.listed();
  });
  hls.on(Events.BUFFER_CODECS, (_, { video, audio, audiovideo }) => {
    // Segments with both in one buffer name both.
    const both = audiovideo?.codec?.split(',') ?? [];
    codecs.video = video?.codec ?? both.find((name) => !SOUND.test(name)) ?? codecs.video;
    codecs.audio = audio?.codec ?? both.find((name) => SOUND.test(name)) ?? codecs.audio;
  });
  hls.on(Events.FRAG_LOADED, (_, { frag, part }: FragLoadedData) => {
    repairs = 0;
    request.fetched();
    const { loaded } = (part ?? frag).stats;
    const duration = (part ?? frag).duration;
    if (duration <= 0) return;
    const list = rates.get(frag.type) ?? rates.set(frag.type, []).get(frag.type)!;
    list.push((loaded * 8) / duration);
    if (list.length > RATED) list.shift();
  });
  hls.on(Events.ERROR, (_, data: ErrorData) => {
    if (!data.fatal) return;
    if (data.type === ErrorTypes.NETWORK_ERROR) {
      const status = data.response?.code ?? 0;
      request.failed(status >= 400 ? { why: 'status', status } : { why: 'network' });
    } else if (data.type === ErrorTypes.MEDIA_ERROR && manifest && ++repairs < REPAIRS_MAX) hls.recoverMediaError();
    else request.failed({ why: 'unsupported', reason: data.error?.message || data.details });
  });
  hls.attachMedia(video);
  hls.loadSource(request.url);

  const level = () => hls.levels?.[hls.currentLevel] ?? hls.levels?.[hls.loadLevel];
  return {
    get edge() {
      const details = hls.latestLevelDetails;
      if (!details) return undefined;
      // Between two playlists the edge goes on; a host who stopped stops it.
      return details.live && kind !== 'recording' ? details.edge + Math.min(details.age, 2 * details.targetduration) : details.edge;
    },
    get start() {
      return hls.latestLevelDetails?.fragmentStart ?? 0;
    },
    get target() {
      if (kind === 'recording') return 0;
      const details = hls.latestLevelDetails;
      if (!details) return 0;
      return (live && details.partHoldBack) || details.holdBack || 3 * details.targetduration;
    },
    get videoConfig() {
      const now = level();
      const mime = now?.videoCodec ?? codecs.video;
      return mime ? { mime, width: now?.width || video.videoWidth, height: now?.height || video.videoHeight } : undefined;
    },
    get audioConfig() {
      const mime = level()?.audioCodec ?? codecs.audio;
      return mime ? { mime } : undefined;
    },
    get bitrateBps() {
      return [...rates.values()].reduce((sum, list) => sum + list.reduce((a, b) => a + b, 0) / list.length, 0);
    },
    begin(from) {
      hls.config.liveSyncDuration = from;
    },
    reload() {
      if (manifest) hls.startLoad();
      else hls.loadSource(request.url);
    },
    destroy: () => hls.destroy(),
  };
}
