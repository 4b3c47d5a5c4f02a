// The peer connections of a page.

import type { Page } from "puppeteer-core";
import type { Participant } from "./participant.ts";

declare global {
  interface Window {
    /** Connections that the page created. */
    peers?: RTCPeerConnection[];
  }
}

/** Records the peer connections of a page that is opened next. */
export async function recordPeers(page: Page): Promise<void> {
  await page.evaluateOnNewDocument(() => {
    const Original = RTCPeerConnection;
    window.peers = [];
    window.RTCPeerConnection = class extends Original {
      constructor(configuration?: RTCConfiguration) {
        super(configuration);
        window.peers?.push(this);
      }
    };
  });
}

/**
 * Returns the header extensions that a page negotiated, by kind of media and in the order of their ids: those that it sends,
 * and those that it receives.
 */
export async function sentExtensions(participant: Participant): Promise<Record<string, string[]>> {
  return participant.page.evaluate(() => {
    const extensions: Record<string, Map<number, string>> = { audio: new Map(), video: new Map() };
    for (const peer of window.peers ?? []) {
      for (const section of (peer.localDescription?.sdp ?? "").split(/\r?\n(?=m=)/).slice(1)) {
        const kind = section.slice(2, section.indexOf(" "));
        for (const [, id, uri = ""] of section.matchAll(/^a=extmap:(\d+)(?:\/\w+)? (\S+)/gm)) {
          extensions[kind]?.set(Number(id), uri);
        }
      }
    }
    return Object.fromEntries(
      Object.entries(extensions).map(([kind, uris]) => [
        kind,
        [...uris].sort(([a], [b]) => a - b).map(([, uri]) => uri),
      ]),
    );
  });
}
