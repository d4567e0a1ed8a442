// Whether playback moves: stalls as the viewer sees them, and the difference
// between "nothing comes" and "what comes cannot be played". Pure: times are
// milliseconds that the caller brings.

/** Shorter hiccups of the `waiting` event are not seen by anyone. */
const STALL_MIN_MS = 60;
/** Playback that stands still for longer although frames arrive needs a push. */
const STUCK_MS = 2_500;
/** Frames further apart than this do not flow. */
const BREAK_MS = 1_200;
const FRESH_MS = 600;

export class Progress {
  stalls = 0;
  stallMs = 0;
  /** When the last frame came. */
  frameAt = 0;

  private stallAt: number | undefined;
  private time = 0;
  private movedAt = 0;
  private flowingSince: number | undefined;

  /** A frame came that will be played. */
  frame(now: number): void {
    if (now - this.frameAt > BREAK_MS) this.flowingSince = undefined;
    this.flowingSince ??= now;
    this.frameAt = now;
  }

  /** The playhead is at `time`; while nobody wants it to move, standing still is no fault. */
  at(now: number, time: number, wanted: boolean): void {
    if (time !== this.time || !wanted) this.movedAt = now;
    this.time = time;
  }

  /** A new beginning: the first picture is up. */
  begin(now: number): void {
    this.movedAt = now;
  }

  /** How long the playhead has stood still. */
  stillMs(now: number): number {
    return now - this.movedAt;
  }

  /** Frames have been arriving for a while, and the playhead does not move. True once per attempt to help. */
  stuck(now: number): boolean {
    const flowing = now - this.frameAt < FRESH_MS ? now - (this.flowingSince ?? now) : 0;
    if (Math.min(this.stillMs(now), flowing) <= STUCK_MS) return false;
    this.flowingSince = undefined;
    return true;
  }

  stallBegins(now: number): void {
    this.stallAt ??= now;
  }

  /** Returns whether there was a stall that a viewer would have noticed. */
  stallEnds(now: number): boolean {
    if (this.stallAt === undefined) return false;
    const lasted = now - this.stallAt;
    this.stallAt = undefined;
    if (lasted < STALL_MIN_MS) return false;
    this.stalls++;
    this.stallMs += lasted;
    return true;
  }

  /** The host left: that the picture stands still is no fault of the way here. */
  stallExcused(): void {
    this.stallAt = undefined;
  }
}
