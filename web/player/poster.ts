import type { VideoConfig } from './codec';
import type { Bytes } from './flv';

/**
 * Shows one keyframe on a canvas through a throw-away WebCodecs decoder.
 *
 * `flush()` makes the decoder give up a picture that it would hold back for
 * reordering, which MSE does not before two or three more frames arrive.
 * WebCodecs exists only in secure contexts; elsewhere `show` does nothing.
 */
export class Poster {
  private decoder: VideoDecoder | undefined;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly painted: () => void,
  ) {}

  static get available(): boolean {
    return typeof VideoDecoder === 'function';
  }

  show(config: VideoConfig, key: Bytes): void {
    this.close();
    if (!Poster.available) return;
    const decoder = new VideoDecoder({
      output: (frame) => {
        if (this.decoder === decoder) {
          this.draw(frame, frame.displayWidth, frame.displayHeight);
          requestAnimationFrame(() => this.painted());
        }
        frame.close();
      },
      // MSE plays on without a poster; there is nothing to tell anyone.
      error: () => undefined,
    });
    this.decoder = decoder;
    decoder.configure({
      codec: config.mime,
      codedWidth: config.width,
      codedHeight: config.height,
      ...(config.codec === 'vp09' ? {} : { description: config.record }),
      optimizeForLatency: true,
    });
    decoder.decode(new EncodedVideoChunk({ type: 'key', timestamp: 0, data: key }));
    decoder.flush().then(() => this.close(), () => undefined);
  }

  /** Keeps the picture that `video` shows, while its source is replaced. */
  hold(video: HTMLVideoElement): void {
    if (video.videoWidth) this.draw(video, video.videoWidth, video.videoHeight);
  }

  hide(): void {
    this.close();
    this.canvas.hidden = true;
  }

  close(): void {
    if (this.decoder && this.decoder.state !== 'closed') this.decoder.close();
    this.decoder = undefined;
  }

  private draw(image: CanvasImageSource, width: number, height: number): void {
    this.canvas.width = width;
    this.canvas.height = height;
    this.canvas.getContext('2d')?.drawImage(image, 0, 0, width, height);
    this.canvas.hidden = false;
  }
}
