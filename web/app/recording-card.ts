import { withAccess, type Recording } from './api';
import { el, icon, setText } from './dom';
import { clock, t, when } from './strings';

export interface RecordingCard {
  element: HTMLElement;
  update(recording: Recording): void;
  remove(): void;
}

/** The channel of `app/channel`, with its app where that is not the usual one. */
export const channelOf = (stream: string): string => stream.replace(/^live\//, '');

/** When a recording of this name began (RFC 3339): its name says so, as in `20261123T043000Z-1a2b3c4d`. */
export function begunAt(id: string): string | undefined {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(id);
  return parts ? `${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z` : undefined;
}

/** Whether it is still being made. */
export const isGrowing = ({ state }: Recording): boolean => state !== 'complete' && state !== 'finishing';

/** A recording in a grid: its first keyframe, how long it is, what and when it was. */
export function buildRecordingCard(first: Recording): RecordingCard {
  const length = el('span');
  const title = el('h2');
  const detail = el('p');
  const picture = el('div', { class: 'picture' }, el('div', { class: 'tag' }, length));
  const element = el('li', {},
    el('a', { class: 'card', href: withAccess(`/recordings/${encodeURIComponent(first.id)}/`) }, picture, title, detail));

  // The poster is an MP4 of one frame, asked for when its card is about to be seen.
  const observer = new IntersectionObserver(([entry]) => {
    if (!entry?.isIntersecting) return;
    observer.disconnect();
    const poster = el('video', {
      // The fragment makes iPhones show the frame without playing.
      src: `${withAccess(`/recordings/${encodeURIComponent(first.id)}/poster.mp4`)}#t=0.001`,
      muted: true, playsinline: true, preload: 'auto', tabindex: -1, 'aria-hidden': 'true', disablepictureinpicture: true, disableremoteplayback: true,
    });
    poster.addEventListener('error', () => poster.replaceWith(icon('film')));
    picture.prepend(poster);
  }, { rootMargin: '200px' });
  observer.observe(element);

  return {
    element,
    update(recording) {
      const channel = channelOf(recording.stream);
      const growing = isGrowing(recording);
      setText(title, recording.title ?? channel);
      const said = recording.title ? `${channel} · ` : '';
      setText(detail, `${said}${when(recording.startedAt)}`);
      picture.classList.toggle('growing', growing);
      setText(length, growing ? t('recordingNow') : clock(recording.durationMs));
    },
    remove() {
      observer.disconnect();
      element.remove();
    },
  };
}
