// Every text a person sees, in one table.

const EN = {
  home: 'Rushlight home',
  liveNow: 'Live now',
  search: 'Search channels',
  theme: 'Light or dark',
  goLive: 'Go live',
  loading: 'Loading channels',
  noneTitle: 'Nobody is live yet',
  noneText: 'Push a stream to this server and it appears here within seconds.',
  noMatchTitle: 'No channel matches',
  noMatchText: 'Nothing that is live now has “{query}” in its name or title.',
  clearSearch: 'Clear search',
  errorTitle: 'The channel list cannot be loaded',
  errorText: 'The server does not answer. It is asked again every few seconds.',
  retry: 'Try again',
  howTitle: 'How to go live',
  howText: 'Use any program that speaks RTMP. Choose a channel name, and it is on air when the first frame arrives.',
  howKey: 'From another machine the server asks for a key: add ?key=… to the stream key. The server printed it when it first started.',
  channelName: 'Channel name',
  obs: 'OBS Studio',
  obsWhere: 'Settings → Stream → Service: Custom',
  server: 'Server',
  streamKey: 'Stream key',
  ffmpeg: 'FFmpeg',
  ffmpegWhere: 'A test picture with sound, from a terminal',
  command: 'Command',
  pushUrl: 'Push URL, for other programs',
  copy: 'Copy',
  copied: 'Copied',
  close: 'Close',
  viewers: '{n} watching',
  viewer: '1 watching',
  uptime: 'live for {time}',
  live: 'Live',
  latency: '{s} s',
  behindLive: '{s} s behind',
  player: 'Player',
  play: 'Play',
  pause: 'Pause',
  mute: 'Mute',
  unmute: 'Turn sound on',
  tapForSound: 'Tap for sound',
  volume: 'Volume',
  toLive: 'Go to live',
  stats: 'Statistics',
  pip: 'Picture in picture',
  theatre: 'Theatre',
  fullscreen: 'Full screen',
  exitFullscreen: 'Leave full screen',
  share: 'Share',
  linkCopied: 'Link copied',
  keys: 'Keyboard shortcuts',
  keyPlay: 'Play or pause',
  keyStep: 'Back, forward 5 seconds',
  keyBack: 'Back 10 seconds',
  keyLeap: 'Back, forward 10 seconds',
  keyEnds: 'To the beginning, the end',
  keyTenths: 'To tenths of the length',
  keySound: 'Sound on or off',
  keyCaptions: 'Captions',
  controls: 'Controls',
  speed: 'Speed',
  seek: 'Position',
  seekLive: 'Position behind live',
  timeOf: '{at} of {of}',
  backToLive: 'Go live',
  behindBy: '{time} behind live',
  recordings: 'Recordings',
  searchRecordings: 'Search recordings',
  recordingsLoading: 'Loading recordings',
  recordingsNoneTitle: 'Nothing has been recorded yet',
  recordingsNoneText: 'Broadcasts that this server records appear here when they have ended.',
  recordingsNoMatchText: 'No recording has “{query}” in its title or the name of its channel.',
  recordingsErrorTitle: 'The recordings cannot be loaded',
  recordingsErrorText: 'The server does not answer, or the network is down.',
  recordingsClosedTitle: 'Recordings are not listed here',
  recordingsClosedText: 'Who has the address of one can play it. Ask the host for it.',
  recordingsMore: 'Show more',
  recordingsOf: 'Recordings of {name}',
  recordingNow: 'Recording now',
  recordingGone: 'There is no such recording',
  recordingGoneText: 'It may have been deleted, or it needs a key that this link does not have.',
  recordingBroken: 'This recording cannot be played now',
  recordingBrokenText: 'The server does not answer. It is tried again by itself.',
  download: 'Download',
  allRecordings: 'All recordings',
  watchLive: 'Watch live',
  stateStarting: 'Starting',
  stateStartingText: 'The stream is on its way.',
  statePlaying: 'Playing',
  stateBuffering: 'Loading',
  stateBufferingText: 'The picture goes on as soon as enough of it is here.',
  stateReconnecting: 'Reconnecting',
  stateReconnectingText: 'The connection broke. It is tried again by itself.',
  stateWaiting: 'Waiting for the host',
  stateWaitingText: 'The picture starts by itself as soon as the host is live.',
  stateEnded: 'This stream has ended',
  stateEndedText: 'Thank you for watching. If the host comes back, it starts again here.',
  stateForbidden: 'You may not watch this channel',
  stateForbiddenText: 'The server refused the request. The link may have expired: ask the host for a new one.',
  stateUnsupported: 'This browser cannot play the stream',
  stateUnsupportedText: 'It does not play {codec}. A current Chrome, Edge, Firefox or Safari may.',
  statePaused: 'Paused',
  browseLive: 'See who is live',
  statStartup: 'First picture',
  statStages: 'connect · request · first byte · keyframe · picture',
  statLatency: 'Latency',
  statTarget: 'target {s} s',
  statBuffer: 'Buffer',
  statStalls: 'Stalls',
  statFrames: 'Frames',
  statDropped: '{n} dropped',
  statBitrate: 'Bitrate',
  statVideo: 'Video',
  statAudio: 'Audio',
  statProtocol: 'Protocol',
  statRate: 'Speed',
  statNetwork: 'Network',
  statRung: 'Quality',
  statSwitches: '{n} changes',
  quality: 'Quality',
  qualityAuto: 'Auto',
  qualityAutoNow: 'Auto · {size}',
  language: '中文',
};

export type Key = keyof typeof EN;

const ZH: Record<Key, string> = {
  home: 'Rushlight 首页',
  liveNow: '正在直播',
  search: '搜索频道',
  theme: '浅色或深色',
  goLive: '开播',
  loading: '正在加载频道',
  noneTitle: '还没有人开播',
  noneText: '把直播流推到这台服务器，几秒之内就会出现在这里。',
  noMatchTitle: '没有匹配的频道',
  noMatchText: '正在直播的频道中，没有名称或标题包含“{query}”的。',
  clearSearch: '清除搜索',
  errorTitle: '无法加载频道列表',
  errorText: '服务器没有响应，每隔几秒会自动重试。',
  retry: '重试',
  howTitle: '如何开播',
  howText: '任何支持 RTMP 的软件都可以。取一个频道名，第一帧到达时即开播。',
  howKey: '从其他机器推流时服务器需要密钥：在推流码后加上 ?key=…。密钥在服务器首次启动时已打印出来。',
  channelName: '频道名',
  obs: 'OBS Studio',
  obsWhere: '设置 → 直播 → 服务：自定义',
  server: '服务器',
  streamKey: '推流码',
  ffmpeg: 'FFmpeg',
  ffmpegWhere: '在终端中推送带声音的测试画面',
  command: '命令',
  pushUrl: '推流地址（其他软件）',
  copy: '复制',
  copied: '已复制',
  close: '关闭',
  viewers: '{n} 人在看',
  viewer: '1 人在看',
  uptime: '已播 {time}',
  live: '直播中',
  latency: '{s} 秒',
  behindLive: '落后 {s} 秒',
  player: '播放器',
  play: '播放',
  pause: '暂停',
  mute: '静音',
  unmute: '打开声音',
  tapForSound: '点按打开声音',
  volume: '音量',
  toLive: '回到直播',
  stats: '统计信息',
  pip: '画中画',
  theatre: '影院模式',
  fullscreen: '全屏',
  exitFullscreen: '退出全屏',
  share: '分享',
  linkCopied: '链接已复制',
  keys: '快捷键',
  keyPlay: '播放/暂停',
  keyStep: '后退/前进 5 秒',
  keyBack: '后退 10 秒',
  keyLeap: '后退/前进 10 秒',
  keyEnds: '跳到开头/结尾',
  keyTenths: '跳到全长的十分之几',
  keySound: '打开/关闭声音',
  keyCaptions: '字幕',
  controls: '控制栏',
  speed: '速度',
  seek: '播放位置',
  seekLive: '落后直播的位置',
  timeOf: '{at}，共 {of}',
  backToLive: '回到直播',
  behindBy: '落后直播 {time}',
  recordings: '录像',
  searchRecordings: '搜索录像',
  recordingsLoading: '正在加载录像',
  recordingsNoneTitle: '还没有录像',
  recordingsNoneText: '本服务器录制的直播结束后，会出现在这里。',
  recordingsNoMatchText: '没有标题或频道名包含“{query}”的录像。',
  recordingsErrorTitle: '无法加载录像',
  recordingsErrorText: '服务器没有响应，或网络已断开。',
  recordingsClosedTitle: '这里不列出录像',
  recordingsClosedText: '知道录像地址的人可以播放，请向主播索取。',
  recordingsMore: '显示更多',
  recordingsOf: '{name} 的录像',
  recordingNow: '正在录制',
  recordingGone: '没有这个录像',
  recordingGoneText: '它可能已被删除，或者需要此链接中没有的密钥。',
  recordingBroken: '暂时无法播放此录像',
  recordingBrokenText: '服务器没有响应，正在自动重试。',
  download: '下载',
  allRecordings: '全部录像',
  watchLive: '观看直播',
  stateStarting: '正在打开',
  stateStartingText: '画面马上就到。',
  statePlaying: '正在播放',
  stateBuffering: '正在加载',
  stateBufferingText: '数据足够后，画面会继续播放。',
  stateReconnecting: '正在重新连接',
  stateReconnectingText: '连接已断开，正在自动重试。',
  stateWaiting: '等待主播',
  stateWaitingText: '主播开播后，画面会自动出现。',
  stateEnded: '直播已结束',
  stateEndedText: '感谢观看。主播回来后，这里会自动继续播放。',
  stateForbidden: '无权观看此频道',
  stateForbiddenText: '服务器拒绝了请求。链接可能已过期，请向主播索取新链接。',
  stateUnsupported: '此浏览器无法播放该直播',
  stateUnsupportedText: '它不支持 {codec}。可尝试最新版 Chrome、Edge、Firefox 或 Safari。',
  statePaused: '已暂停',
  browseLive: '看看谁在直播',
  statStartup: '首帧',
  statStages: '连接 · 请求 · 首字节 · 关键帧 · 画面',
  statLatency: '延迟',
  statTarget: '目标 {s} 秒',
  statBuffer: '缓冲',
  statStalls: '卡顿',
  statFrames: '帧数',
  statDropped: '丢弃 {n}',
  statBitrate: '码率',
  statVideo: '视频',
  statAudio: '音频',
  statProtocol: '协议',
  statRate: '速度',
  statNetwork: '网络',
  statRung: '清晰度',
  statSwitches: '切换 {n} 次',
  quality: '清晰度',
  qualityAuto: '自动',
  qualityAutoNow: '自动 · {size}',
  language: 'English',
};

const STORED = 'rushlight.language';

function chosen(): 'en' | 'zh' {
  let stored: string | null = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Storage may be off limits; the browser's language decides then.
  }
  const first = stored ?? navigator.languages?.[0] ?? navigator.language;
  return first.startsWith('zh') ? 'zh' : 'en';
}

const language = chosen();
const table = language === 'zh' ? ZH : EN;
/** For `Intl` and the `lang` attribute. */
export const locale = language === 'zh' ? 'zh-Hans' : 'en';

document.documentElement.lang = locale;

export function t(key: Key, values: Record<string, string | number> = {}): string {
  return table[key].replace(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ''));
}

export function switchLanguage(): void {
  try {
    localStorage.setItem(STORED, language === 'zh' ? 'en' : 'zh');
  } catch {
    return;
  }
  location.reload();
}

const count = new Intl.NumberFormat(locale, { notation: 'compact', maximumFractionDigits: 1 });

export const compact = (n: number): string => count.format(n);

export const viewers = (n: number): string => (n === 1 ? t('viewer') : t('viewers', { n: compact(n) }));

/** One decimal, as in “1.2”. */
export const seconds = (ms: number): string =>
  (ms / 1000).toLocaleString(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 });

const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' });

/** When something began, where the reader is. */
export const when = (rfc3339: string): string => moment.format(new Date(rfc3339));

/** `m:ss` or `h:mm:ss`. */
export function clock(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  const tail = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return s < 3600 ? tail.replace(/^0/, '') : `${Math.floor(s / 3600)}:${tail}`;
}
