// Networks that follow each other at random, by a seed, and what each of them explains.

/** A time with one network. Seconds since the start. */
export interface Spell {
  readonly from: number;
  readonly to: number;
  /** Settings of the relay, for both directions. */
  readonly settings: string;
  /** Whether media may well stop while it lasts. */
  readonly harsh: boolean;
}

/** Kinds of network. A call goes on in all of them but the harsh ones. */
const KINDS: readonly { readonly settings: string; readonly harsh: boolean }[] = [
  { settings: "perfect,delay=20ms", harsh: false },
  { settings: "wifi", harsh: false },
  { settings: "4g", harsh: false },
  { settings: "perfect,delay=50ms,loss=3%", harsh: false },
  { settings: "perfect,delay=20ms,jitter=gauss 10ms", harsh: false },
  { settings: "perfect,delay=30ms,rate=2500kbit,queue=300ms", harsh: false },
  { settings: "perfect,delay=150ms,loss=1%", harsh: false },
  { settings: "perfect,delay=20ms,rate=300kbit,queue=300ms", harsh: true },
  { settings: "perfect,delay=20ms,loss=30%", harsh: true },
  { settings: "perfect,loss=100%", harsh: true },
];
/** Shortest and longest spell, in seconds. */
const LASTS: readonly [number, number] = [12, 25];
/** A harsh spell ends after this, in seconds. */
const HARSH_LASTS = 8;
/** After a change for the worse, what was sent before fills queues for this long, in seconds. */
const SETTLING = 5;
/** How long after a harsh spell a call may need to recover, in seconds. */
const RECOVERY = 10;

/** Random numbers from 0 to 1 by a seed (mulberry32). */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Returns the spells of a run of this length in seconds. It begins and ends well, and no two harsh ones follow each other. */
export function weather(seed: number, seconds: number): Spell[] {
  const draw = random(seed);
  const [good = { settings: "perfect", harsh: false }] = KINDS;
  const spells: Spell[] = [];
  let from = 0;
  while (from < seconds) {
    const before = spells.at(-1);
    const last = seconds - from <= LASTS[1];
    const among = KINDS.filter(({ harsh }) => !harsh || before?.harsh === false);
    const { settings, harsh } =
      before === undefined || last ? good : (among[Math.floor(draw() * among.length)] ?? good);
    const lasts = harsh ? HARSH_LASTS : LASTS[0] + draw() * (LASTS[1] - LASTS[0]);
    const to = last ? seconds : Math.min(seconds, from + lasts);
    spells.push({ from, to, settings, harsh });
    from = to;
  }
  return spells;
}

/** Whether the network explains that nothing arrived from one second to another. */
export function explains(spells: readonly Spell[], from: number, to: number): boolean {
  return spells.some(
    (spell) =>
      (spell.harsh && from < spell.to + RECOVERY && to > spell.from) ||
      (from < spell.from + SETTLING && to > spell.from && spell.from > 0),
  );
}
