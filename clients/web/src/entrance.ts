// How a device gets into a call, and back into it: what it shows the server, and what it does with what is left of its place.
//
// A place has keys, which live in a session. It is continued with the cheapest step that works: with everything; with the
// same keys, if the server forgot the rest; or taken again with new keys.

import { decodeExactly, encode } from "./base64url.ts";
import { clockSkewMinutes } from "./clock-skew.ts";
import type { CryptoSession } from "./crypto-session.ts";
import { ClockSkewError, TacetError } from "./errors.ts";
import type { RoomLink } from "./link.ts";
import type { Media } from "./media.ts";
import { type Membership, membership, resume } from "./membership.ts";
import { checkTables } from "./offer-check.ts";
import type { Others } from "./others.ts";
import type { Problem } from "./problem.ts";
import type {
  Announce,
  Challenge,
  Codec,
  Credential,
  Expected,
  Hello,
  Joined,
  Tokens,
  Welcome,
} from "./protocol/generated.ts";
import { Priority } from "./protocol/outbox.ts";
import { isNotResumable } from "./protocol/refusal.ts";
import type { Signaling } from "./protocol/signaling.ts";
import { hasSpatialLayers } from "./scalability.ts";
import { SessionSupply } from "./session-supply.ts";

/** Name and version of this client, as sent to the server. */
const CLIENT = "tacet-web/0.1.0";
const CALL_BYTES = 16;
/** How long a goodbye may take without a connection. */
const GOODBYE_TIMEOUT_MS = 3_000;

/** A room token, or a function that returns one each time that the client enters: tokens end. */
export type RoomToken = string | (() => string | Promise<string>);

/** How to connect. */
export interface ConnectionOptions {
  readonly link: RoomLink;
  readonly name: string;
  readonly videoCodec: Codec;
  /** Whether spatial layers are used where codec and browser have them. */
  readonly spatialLayers?: boolean;
  /** Whether audio is sent at a constant rate. */
  readonly constantAudioRate?: boolean;
  /** Whether no video is received that is not viewed. */
  readonly viewedOnly?: boolean;
  /** Guest access to show instead of the one that is derived from the secret. */
  readonly guestAccess?: Uint8Array;
  /** A room token to show instead of guest access, or what returns one. */
  readonly roomToken?: RoomToken;
  /** One-use token of a page that was loaded again. */
  readonly returnToken?: string;
  /** Whether to join with a clock that differs much from the server's. */
  readonly ignoreClockSkew?: boolean;
}

/** What the entrance works with, and notifies. */
export interface Surroundings {
  readonly signaling: Signaling;
  readonly media: Media;
  readonly others: Others;
  /** A server that knows nothing of this client is asked to let it join. The tracks that it subscribes to come next. */
  joining(): void;
  /** The keys of this session are used from now on. */
  session(session: CryptoSession): void;
  joined(joined: Joined): void;
  problem(problem: Problem): void;
}

/** Another attempt may begin at once, since it shows the server something else. */
class Again extends TacetError {
  constructor() {
    super("server-unreachable");
  }
}

/** The way into one call. */
export class Entrance {
  readonly #options: ConnectionOptions;
  readonly #with: Surroundings;
  readonly #supply: SessionSupply;
  /** Guest access, once the first session has derived it. */
  #access: Uint8Array | undefined;
  /** The session of the present keys. */
  #session: CryptoSession | undefined;
  #place: Membership | undefined;
  /** One-use token to return with instead of a proof. */
  #returnToken: string | undefined;
  #void: TacetError | null = null;
  /** Number of the present attempt to join. */
  #joins = 0;
  #abort: (error: TacetError) => void = () => {};
  #reportedSkew: number | null = null;
  #closed = false;

  constructor(options: ConnectionOptions, surroundings: Surroundings) {
    this.#options = options;
    this.#with = surroundings;
    this.#returnToken = options.returnToken;
    this.#supply = new SessionSupply(options.link.secret, surroundings.signaling, options.guestAccess);
  }

  /** The session of the present keys. */
  get session(): CryptoSession | undefined {
    return this.#session;
  }

  /** The place, as the server granted it last. */
  get place(): Membership | undefined {
    return this.#place;
  }

  /** Why the present place cannot be continued: its keys are void, or its media path is beyond repair. */
  get void(): TacetError | null {
    return this.#void;
  }

  /**
   * Enters for the first time.
   *
   * @throws {TacetError} if that fails
   */
  async enterFirst(timeout: number): Promise<void> {
    for (;;) {
      try {
        await this.enter(timeout);
        return;
      } catch (thrown) {
        if (!this.letGo(thrown)) throw thrown;
      }
    }
  }

  /**
   * Opens a socket and brings the call to where it was, or joins it.
   *
   * @throws {TacetError} if that fails, or is aborted
   */
  async enter(timeout: number): Promise<void> {
    this.#access ??= await this.#supply.guestAccess();
    // What is said next ends the session of before. If there are no keys to follow it, the place stays held instead.
    if (this.#returnToken !== undefined || this.#void !== null) await this.#supply.ready();
    const lost = new Promise<never>((_, reject) => {
      this.#abort = reject;
    });
    // Without a loss, nothing awaits it.
    lost.catch(() => {});
    const welcome = await this.#with.signaling.connect((challenge) => this.#hello(challenge), timeout);
    this.#checkClock(welcome);
    await Promise.race([this.#continue(welcome), lost]);
    this.#returnToken = undefined;
  }

  /** Ends the present attempt. */
  abort(error: TacetError): void {
    this.#abort(error);
  }

  /** Lets go of what the server does not continue. Returns whether the next attempt shows something else, and may begin at once. */
  letGo(thrown: unknown): boolean {
    return thrown instanceof Again || this.#forget(thrown);
  }

  /** The signaling link goes on where it was. */
  continued(): void {
    if (this.#place?.session === this.#session && this.#void === null) this.#session?.attach();
  }

  /** The place cannot be continued any longer. */
  invalidate(error: TacetError): void {
    if (this.#place?.session === this.#session) this.#void = error;
  }

  /** The place can be continued with these tokens. */
  setTokens(tokens: Tokens): void {
    if (this.#place !== undefined) this.#place = { ...this.#place, tokens };
  }

  /** Says goodbye over one more connection. The others learn of it when the hold is over if that fails. */
  async sayGoodbye(): Promise<void> {
    try {
      await this.#with.signaling.connect((challenge) => this.#hello(challenge), GOODBYE_TIMEOUT_MS);
    } catch {
      // Out of reach.
    }
  }

  /** Nothing is joined any more. The keys stay until they are erased. */
  close(): void {
    this.#closed = true;
  }

  /** Erases the keys. */
  erase(): void {
    this.#supply.close();
    this.#session?.close();
    this.#place?.session.close();
  }

  async #continue(welcome: Welcome): Promise<void> {
    const place = this.#place;
    switch (welcome.continues) {
      case "session":
      case "seat":
        if (place === undefined || place.session !== this.#session || this.#void !== null) {
          return this.#surrender(welcome.tokens);
        }
        if (welcome.continues === "seat") return this.#rejoin(place, welcome);
        this.#place = { ...place, tokens: welcome.tokens };
        return;
      case "participant":
      case "nothing":
        return this.#join(welcome);
    }
  }

  /** The server holds a place whose keys are void: lets go of it, to take it again with new ones. */
  #surrender(tokens: Tokens): never {
    this.#with.signaling.away();
    this.#returnToken = tokens.reload;
    throw new Again();
  }

  /** The server granted participant and seat again, and has forgotten the rest. Keys and counters go on. */
  async #rejoin({ session }: Membership, welcome: Welcome): Promise<void> {
    const place = membership(welcome, session, welcome.tokens);
    this.#place = place;
    this.#replacePath(session, welcome);
    const joined = await this.#requestJoin(await session.rejoin(), this.#with.others.expected());
    this.#place = { ...place, tokens: joined.tokens ?? place.tokens };
    session.joined(joined.seat);
    this.#start(joined, false);
  }

  /** Joins with new keys: as a newcomer, or in the place of before. */
  async #join(welcome: Welcome): Promise<void> {
    this.#joins += 1;
    const number = this.#joins;
    const session = await this.#supply.take();
    this.#useSession(session);
    this.#replacePath(session, welcome);
    const { link, name } = this.#options;
    const announce = await session.start({ room: link.roomBytes, call: decodeCall(welcome), name });
    const joined = await this.#requestJoin(announce, []);
    if (number !== this.#joins || this.#closed) return;
    this.#place?.session.close();
    this.#place = membership(welcome, session, joined.tokens ?? welcome.tokens);
    this.#void = null;
    session.joined(joined.seat);
    this.#start(joined, true);
  }

  /** The session of the present place stays for its signature until another has joined. */
  #useSession(session: CryptoSession): void {
    const before = this.#session;
    if (before !== this.#place?.session) before?.close();
    this.#session = session;
    this.#with.session(session);
  }

  async #requestJoin(announce: Announce, expects: Expected[]): Promise<Joined> {
    const { signaling } = this.#with;
    const answer = signaling.request({ t: "join", ...announce, ...(expects.length === 0 ? {} : { expects }) });
    this.#with.joining();
    signaling.send({ t: "subscribe", auto: true }, Priority.Control, "subscribe");
    const joined = await answer;
    if (joined.t !== "joined") throw new TacetError("protocol");
    return joined;
  }

  #start(joined: Joined, newKeys: boolean): void {
    this.#with.others.start(joined, newKeys);
    this.#with.joined(joined);
  }

  async #hello(challenge: Challenge): Promise<Hello> {
    const { link } = this.#options;
    const hello: Hello = {
      room: link.room,
      credential: await this.#credential(),
      client: CLIENT,
      features: [],
    };
    if (this.#returnToken !== undefined) return { ...hello, resume: { type: "reload", token: this.#returnToken } };
    if (this.#place === undefined) return hello;
    const { lastSeq } = this.#with.signaling;
    return { ...hello, resume: await resume(this.#place, { origin: link.server, challenge, lastSeq }) };
  }

  async #credential(): Promise<Credential> {
    const { roomToken } = this.#options;
    if (roomToken === undefined) return { type: "guest", token: encode(this.#access ?? new Uint8Array(0)) };
    return { type: "room", token: typeof roomToken === "string" ? roomToken : await roomToken() };
  }

  #replacePath(session: CryptoSession, { codecs, hdrext }: Welcome): void {
    checkTables(codecs, hdrext);
    const { videoCodec, constantAudioRate = false } = this.#options;
    const spatialLayers = this.#options.spatialLayers !== false && hasSpatialLayers(videoCodec);
    this.#with.media.replace(session, { codecs, hdrext, videoCodec, spatialLayers, constantAudioRate });
  }

  #checkClock({ time }: Welcome): void {
    const minutes = clockSkewMinutes(time, Date.now());
    if (minutes === this.#reportedSkew) return;
    this.#reportedSkew = minutes;
    if (minutes === null) return;
    if (this.#place === undefined && this.#options.ignoreClockSkew !== true) throw new ClockSkewError(minutes);
    this.#with.problem({ code: "clock-skew", participant: null, minutes });
  }

  /** If the server does not continue what this device showed, forgets it. Returns whether that is so. */
  #forget(thrown: unknown): boolean {
    if (!isNotResumable(thrown)) return false;
    const known = this.#returnToken !== undefined || this.#place !== undefined;
    this.#returnToken = undefined;
    if (this.#place?.session !== this.#session) this.#place?.session.close();
    this.#place = undefined;
    return known;
  }
}

function decodeCall({ call }: Welcome): Uint8Array {
  const bytes = decodeExactly(call, CALL_BYTES);
  if (bytes === null) throw new TacetError("protocol");
  return bytes;
}
