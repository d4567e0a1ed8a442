import { copyText, el, icon } from './dom';
import { t } from './strings';

const COPIED_MS = 1_600;

/** How to go live: addresses to copy for OBS and FFmpeg, with the channel name of one's choice. */
export function buildGuide(): HTMLElement {
  // `hostname` keeps the brackets of an IPv6 address.
  const server = `rtmp://${location.hostname}/live`;
  const key = field(t('streamKey'));
  const url = field(t('pushUrl'));
  const command = field(t('command'));
  const name = el('input', {
    id: `channel-${++count}`, value: 'demo', autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', maxlength: 64,
    on: { input: () => update() },
  });
  const update = () => {
    const channel = name.value.trim().replace(/[^\p{L}\p{N}._-]+/gu, '-') || 'demo';
    key.set(channel);
    url.set(`${server}/${channel}`);
    command.set(`ffmpeg -re -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440 -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 2500k -c:a aac -f flv ${server}/${channel}`);
  };
  const where = field(t('server'));
  where.set(server);
  update();
  return el('section', { class: 'how' },
    el('h2', {}, t('howTitle')),
    el('p', {}, t('howText')),
    el('div', { class: 'name' }, el('label', { for: name.id }, t('channelName')), name),
    el('div', { class: 'ways' },
      el('div', { class: 'way' }, el('h3', {}, t('obs')), el('p', {}, t('obsWhere')), where.element, key.element, url.element),
      el('div', { class: 'way' }, el('h3', {}, t('ffmpeg')), el('p', {}, t('ffmpegWhere')), command.element)),
    el('p', { class: 'note' }, t('howKey')));
}

let count = 0;

function field(label: string) {
  const code = el('code');
  let timer: ReturnType<typeof setTimeout> | undefined;
  const button = el('button', { type: 'button', label: `${t('copy')}: ${label}`, on: { click: () => void copy() } }, icon('copy'));
  const copy = async () => {
    if (!(await copyText(code.textContent ?? ''))) return;
    clearTimeout(timer);
    button.className = 'done';
    button.replaceChildren(icon('done'), el('span', { class: 'offscreen', role: 'status' }, t('copied')));
    timer = setTimeout(() => {
      button.className = '';
      button.replaceChildren(icon('copy'));
    }, COPIED_MS);
  };
  return {
    element: el('div', { class: 'field' }, el('span', {}, label), el('div', {}, code, button)),
    // Options stay whole where the line breaks.
    set: (text: string) => code.replaceChildren(...text.split(/( )/).map((word) => (word.startsWith('-') ? el('b', {}, word) : word))),
  };
}
