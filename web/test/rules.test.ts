import { describe, expect, test } from 'vitest';
import { costsTooMuch, Rules, startRung, type Rung, type View } from '../player/rungs/rules';
import { Throughput } from '../player/rungs/throughput';

const rung = (name: string, height: number, kbps: number): Rung =>
  ({ name, url: `/live/cam~${name}.flv`, width: (height * 16) / 9, height, bps: kbps * 1000 });
const RUNGS = [rung('source', 1080, 5_000), rung('720p', 720, 2_500), rung('480p', 480, 1_200), rung('240p', 240, 350)];

const calm: View = { now: 0, bufferedS: 0.8, targetS: 0.8, lateMs: 0, bps: undefined, limitedMs: 0, limitedAt: -Infinity, stalls: 0 };

function rules(current = 0, saver = false): Rules {
  const made = new Rules(RUNGS, saver, 0);
  made.current = current;
  return made;
}

describe('down', () => {
  test('to what the network carries with room to spare, at once', () => {
    const slow = { ...calm, now: 1_000, bps: 1_600_000, limitedMs: 600, limitedAt: 1_000 };
    expect(rules().decide(slow)).toEqual({ to: 2, urgent: true });
    expect(rules().decide({ ...slow, bps: 100_000 })).toEqual({ to: 3, urgent: true });
  });

  test('sooner when little is left', () => {
    const slow = { ...calm, now: 1_000, bps: 4_200_000, limitedMs: 300, limitedAt: 1_000 };
    expect(rules().decide(slow)).toBeUndefined();
    expect(rules().decide({ ...slow, bufferedS: 0.4 })).toEqual({ to: 1, urgent: true });
    expect(rules().decide({ ...slow, bps: 1_600_000 }), 'or the network has collapsed').toEqual({ to: 2, urgent: true });
  });

  test('later when much is left and nearly enough comes, and at once when it does not', () => {
    const slow = { ...calm, now: 1_000, bufferedS: 4, targetS: 4, bps: 4_000_000, limitedMs: 2_000, limitedAt: 1_000 };
    expect(rules().decide(slow), 'four seconds last for twenty').toBeUndefined();
    expect(rules().decide({ ...slow, bufferedS: 2, lateMs: 900 })).toEqual({ to: 1, urgent: true });
    expect(rules().decide({ ...slow, bps: 600_000, limitedMs: 200 })).toEqual({ to: 3, urgent: true });
  });

  test('when much was lost to a network that nearly carries it, whatever the rate of this moment is', () => {
    const lost = { ...calm, now: 10_000, bufferedS: 1.8, targetS: 4, bps: 5_500_000, lateMs: 1_200, limitedMs: 0 };
    expect(rules().decide({ ...lost, limitedAt: 9_500 })?.urgent).toBe(true);
    expect(rules().decide({ ...lost, limitedAt: 5_000 }), 'and not to the host').toBeUndefined();
  });

  test('to the last rung as soon as what is buffered is gone before another change could help', () => {
    const drain = (limitedAt: number) => {
      const r = rules();
      let found;
      // Half a second is lost in each, with a rate that says nothing yet.
      for (let now = 1_000; now <= 4_900 && !found; now += 100) {
        const bufferedS = 3 - (now - 1_000) / 2_000;
        const decision = r.decide({ ...calm, now, bufferedS, targetS: 4, bps: 9e6, lateMs: 0, limitedAt });
        found = decision && { ...decision, bufferedS };
      }
      return found;
    };
    expect(drain(1_000)).toMatchObject({ to: 3, urgent: true });
    expect(drain(1_000)!.bufferedS).toBeGreaterThan(1.1);
    expect(drain(-Infinity), 'and not for a host that sends less').toBeUndefined();
  });

  test('for a stall only if the network made it', () => {
    expect(rules().decide({ ...calm, now: 9_000, stalls: 1, bps: 700_000 })).toBeUndefined();
    expect(rules().decide({ ...calm, now: 9_000, stalls: 1, bps: 700_000, limitedAt: 8_000 })?.to).toBe(3);
  });

  test('not to a rung that was refused just now, and nowhere from the last', () => {
    const slow = { ...calm, now: 1_000, bps: 1_600_000, limitedMs: 600, limitedAt: 1_000 };
    const r = rules();
    r.refused(2, 900);
    expect(r.decide(slow)?.to).toBe(3);
    expect(rules(3).decide(slow)).toBeUndefined();
  });
});

describe('up', () => {
  const at = (r: Rules, now: number, view: Partial<View> = {}) => r.decide({ ...calm, now, ...view })?.to;

  test('with an estimate that says yes, after five seconds', () => {
    expect(at(rules(3), 4_900, { bps: 9_000_000 })).toBeUndefined();
    expect(at(rules(3), 5_000, { bps: 9_000_000 })).toBe(0);
    expect(at(rules(3), 5_000, { bps: 2_000_000 })).toBe(2);
  });

  test('without one by trial of the next, later after each time that was too much', () => {
    const r = rules(3);
    expect([at(r, 7_000), at(r, 8_000)]).toEqual([undefined, 2]);
    r.switched(2, 8_000);
    r.switched(3, 11_000);
    expect([at(r, 26_000), at(r, 27_000)]).toEqual([undefined, 2]);
    expect(at(r, 17_000, { bps: 9_000_000 }), 'an estimate that was wrong is not asked again for this one').toBe(0);
  });

  test('soon from one that was begun with for the sake of the first picture', () => {
    const r = new Rules(RUNGS, false, 0, true);
    r.current = 3;
    expect([at(r, 1_900), at(r, 2_000)]).toEqual([undefined, 2]);
  });

  test('step by step as long as it goes well', () => {
    const r = rules(3);
    r.switched(2, 12_000);
    expect([at(r, 16_900), at(r, 17_000)]).toEqual([undefined, 1]);
  });

  test('not while frames are late or the buffer is low', () => {
    for (const view of [{ lateMs: 200 }, { bufferedS: 0.5 }, { limitedAt: 16_000 }]) {
      expect(at(rules(3), 20_000, view)).toBeUndefined();
    }
  });

  test('a trial that did not come about is not made again at once', () => {
    const r = rules(1);
    r.refused(0, 12_000);
    expect([at(r, 35_000), at(r, 41_000), at(r, 42_000)]).toEqual([undefined, undefined, 0]);
  });
});

describe('a trial of a larger rung', () => {
  const trial = { bufferedS: 3, targetS: 3, lateMs: 400, limitedMs: 500 };

  test('may hold the old one up for a moment, as its first pictures come all at once', () => {
    expect(costsTooMuch(trial)).toBe(false);
    expect(costsTooMuch({ ...trial, bufferedS: 0.5, limitedMs: 0 }), 'or for as long as the host does').toBe(false);
  });

  test('is given up while there is time to go down', () => {
    expect(costsTooMuch({ ...trial, lateMs: 800 })).toBe(true);
    expect(costsTooMuch({ ...trial, limitedMs: 1_100 })).toBe(true);
    expect(costsTooMuch({ ...trial, bufferedS: 1 })).toBe(true);
  });
});

test('who saves data gets no large picture', () => {
  const r = rules(0, true);
  expect(r.decide({ ...calm, now: 1_000, bps: 9e6 })).toEqual({ to: 2, urgent: false });
  r.switched(2, 1_000);
  expect(r.decide({ ...calm, now: 60_000, bps: 9e6 })).toBeUndefined();
  r.switched(3, 60_000);
  expect(r.decide({ ...calm, now: 90_000, bps: 9e6 })?.to).toBe(2);
});

describe('the next visit begins', () => {
  const start = (bps: number, rttMs: number, keyBytes: number) => RUNGS[startRung(RUNGS, { bps, rttMs, keyBytes })]!.name;

  test('with what the network carries', () => {
    expect(start(30e6, 20, 100_000)).toBe('source');
    expect(start(20e6, 20, 60_000), 'and fills a buffer with at once').toBe('720p');
    expect(start(6.5e6, 20, 60_000)).toBe('480p');
    expect(start(100_000, 20, 100_000)).toBe('240p');
  });

  test('with a keyframe that is there in time', () => {
    expect(start(7e6, 20, 400_000)).toBe('480p');
    expect(start(7e6, 90, 400_000)).toBe('240p');
    expect(start(7e6, 500, 400_000)).toBe('240p');
  });
});

/** A viewer with a buffer of 0.8 s behind a network of `[seconds, bits per second]`; a group of pictures lasts a second. */
function watch(network: [number, number][]) {
  const meter = new Throughput();
  const r = new Rules(RUNGS, false, 0);
  const played: { at: number; rung: number }[] = [];
  let [free, stallMs, shown] = [0, 0, -800];
  let made = 0;
  for (const [seconds, rate] of network) {
    for (const until = made + seconds * 1000; made < until; made += 40) {
      free = Math.max(free, made);
      const bytes = (RUNGS[r.current]!.bps * 0.9 * 40) / 8_000;
      for (let left = bytes; left > 0; left -= 1_400) {
        free += (Math.min(left, 1_400) * 8_000) / rate;
        meter.chunk(free, Math.min(left, 1_400));
      }
      meter.frame(free, made);
      // The playhead waits for what is not there.
      const due = made - shown;
      if (free > made && free - made > 800 + stallMs) stallMs = free - made - 800;
      const bufferedS = Math.max(0, (800 + stallMs - (free - made)) / 1000);
      shown = made - due;
      const { bps, lateMs, limitedMs, limitedAt } = meter;
      const decision = r.decide({ now: free, bufferedS, targetS: 0.8, lateMs, bps, limitedMs, limitedAt, stalls: 0 });
      if (!decision) continue;
      // What was on its way is dropped, and the new rung begins with its keyframe.
      if (decision.urgent) free = Math.max(made, free + ((RUNGS[decision.to]!.bps * (made % 1_000)) / 1000 / rate) * 1000 - (free - made));
      meter.rejoin();
      r.switched(decision.to, free);
      played.push({ at: made / 1000, rung: decision.to });
    }
  }
  return { played, stallMs };
}

describe('on a network', () => {
  test('that is good all is left as it is', () => {
    expect(watch([[120, 30_000_000]])).toEqual({ played: [], stallMs: 0 });
  });

  test('that collapses and recovers, playback goes on with less and comes back', () => {
    const { played, stallMs } = watch([[10, 8_000_000], [30, 700_000], [120, 8_000_000]]);
    expect(stallMs).toBe(0);
    expect(played[0]!.at).toBeLessThan(11);
    expect(played[0]!.rung).toBe(3);
    expect(played.filter(({ at }) => at > 11 && at < 40).length).toBeLessThanOrEqual(4);
    expect(played[played.length - 1]!.rung).toBe(0);
  });

  test('that carries a rung all the time, it is left ever more rarely', () => {
    const { played } = watch([[10, 8_000_000], [600, 1_900_000]]);
    expect(played.length).toBeLessThan(15);
  });
});
