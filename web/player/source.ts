/** `MediaSource`, or the variant that iPhones have instead. */
export function mediaSourceClass(): typeof MediaSource | undefined {
  const scope = globalThis as { ManagedMediaSource?: typeof MediaSource; MediaSource?: typeof MediaSource };
  return scope.MediaSource ?? scope.ManagedMediaSource;
}

/** Creates a media source and starts to open it on `video`. */
export function attach(video: HTMLVideoElement): MediaSource | undefined {
  const Class = mediaSourceClass();
  if (!Class) return undefined;
  const source = new Class();
  // A managed source opens only where remote playback is off.
  video.disableRemotePlayback = true;
  video.src = URL.createObjectURL(source);
  source.addEventListener('sourceopen', () => URL.revokeObjectURL(video.src), { once: true });
  return source;
}
